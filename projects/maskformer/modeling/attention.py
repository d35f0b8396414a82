"""Multi-head attention as DETR uses it (Carion et al. 2020, appendix A.3)."""

from typing import Any

import tensorflow as tf
import tf_keras

from projects.maskformer.modeling.dropout import dropout
from projects.maskformer.modeling.initializers import packed_xavier, xavier
from projects.maskformer.modeling.projection import Dense


def split_heads(x: tf.Tensor, heads: int) -> tf.Tensor:
  """[b, n, heads · d] → [b, heads, n, d]."""
  x = tf.reshape(x, [-1, x.shape[1], heads, x.shape[-1] // heads])
  return tf.transpose(x, [0, 2, 1, 3])


def merge_heads(x: tf.Tensor) -> tf.Tensor:
  """[b, heads, n, d] → [b, n, heads · d]."""
  x = tf.transpose(x, [0, 2, 1, 3])
  return tf.reshape(x, [-1, x.shape[1], x.shape[2] * x.shape[3]])


def attend(
  query: tf.Tensor,
  key: tf.Tensor,
  value: tf.Tensor,
  bias: tf.Tensor | None = None,
  rate: float = 0.0,
  training: bool = False,
) -> tf.Tensor:
  """softmax(query · keyᵀ / √d + bias) · value.

  Args:
    query: [b, heads, q, d].
    key: [b, heads, k, d].
    value: [b, heads, k, d].
    bias: added to the scores, broadcastable to [b, heads, q, k].
    rate: share of the softmax that is dropped in training.
    training: whether it is.

  Returns:
    [b, heads, q, d].
  """
  scores = tf.matmul(query * query.shape[-1] ** -0.5, key, transpose_b=True)
  if bias is not None:
    scores += tf.cast(bias, scores.dtype)
  return tf.matmul(dropout(tf.nn.softmax(scores, axis=-1), rate, training), value)


def padding_bias(valid: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
  """[b, k] bool → [b, 1, 1, k]: 0 where a key may be seen, the dtype's minimum elsewhere."""
  return tf.where(valid, tf.zeros([], dtype), dtype.min)[:, None, None, :]


@tf_keras.utils.register_keras_serializable(package="MaskFormer")
class Attention(tf_keras.layers.Layer):
  """Attention of queries to a memory, or to themselves.

  Positions are added to what queries and keys are made of, never to what values are made of.

  Args:
    width: channels of the output; a multiple of `heads`.
    heads: of the attention.
    rate: of the dropout of what queries see.
  """

  def __init__(self, width: int, heads: int, rate: float = 0.0, **kwargs: Any) -> None:
    super().__init__(**kwargs)
    self.width, self.heads, self.rate = width, heads, rate
    self.query = Dense(width, kernel_initializer=packed_xavier(), name="query")
    self.key = Dense(width, kernel_initializer=packed_xavier(), name="key")
    self.value = Dense(width, kernel_initializer=packed_xavier(), name="value")
    self.output_projection = Dense(width, kernel_initializer=xavier(), name="output")

  def call(
    self,
    inputs: tf.Tensor,
    memory: tf.Tensor | None = None,
    positions: tf.Tensor | None = None,
    memory_positions: tf.Tensor | None = None,
    valid: tf.Tensor | None = None,
    training: bool = False,
  ) -> tf.Tensor:
    """Attends.

    Args:
      inputs: [b, q, c] what asks.
      memory: [b, k, c] what is asked; None: `inputs`, at `positions`.
      positions: [b, q, c] of `inputs`.
      memory_positions: [b, k, c] of `memory`.
      valid: [b, k] bool: which of the memory may be seen; None: all.
      training: whether dropout drops.

    Returns:
      [b, q, width].
    """
    if memory is None:
      memory, memory_positions = inputs, positions
    query = split_heads(self.query(add_positions(inputs, positions)), self.heads)
    key = split_heads(self.key(add_positions(memory, memory_positions)), self.heads)
    value = split_heads(self.value(memory), self.heads)
    bias = None if valid is None else padding_bias(valid, query.dtype)
    seen = attend(query, key, value, bias, self.rate, training)
    return self.output_projection(merge_heads(seen))

  def get_config(self) -> dict[str, Any]:
    return super().get_config() | {"width": self.width, "heads": self.heads, "rate": self.rate}


def add_positions(x: tf.Tensor, positions: tf.Tensor | None) -> tf.Tensor:
  """`x` + `positions`, where there are any."""
  return x if positions is None else x + positions
