"""MaskFormer's train step: clip the gradient as a whole, then AdamW by each variable's role."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from benchmarks.parity.blocks.adamw import Group
from official.layers.normalization import BatchNorm
from projects.maskformer.modeling.normalization import GroupNorm

CLIP_NORM = 0.01  # Of the gradient of all variables together.
WEIGHT_DECAY = 1e-4
BACKBONE_MULTIPLIER = 0.1

_NORMS = (BatchNorm, GroupNorm, tf_keras.layers.LayerNormalization)
_EMBEDDINGS = ("query_positions", "relative_bias")


class StepDecay(tf_keras.optimizers.schedules.LearningRateSchedule):
  """A tenth of the rate from step `boundary` on, in the dtype of Keras' floats."""

  def __init__(self, rate: float, boundary: int) -> None:
    self.rate, self.boundary = rate, boundary

  def __call__(self, step: tf.Tensor) -> tf.Tensor:
    rate = tf.constant(self.rate, tf_keras.backend.floatx())
    return tf.where(step < self.boundary, rate, rate * 0.1)

  def get_config(self) -> dict[str, Any]:
    return {"rate": self.rate, "boundary": self.boundary}


def clip_by_global_norm(gradients: Sequence[tf.Tensor], limit: float) -> list[tf.Tensor]:
  """Scales all gradients down together where their norm exceeds `limit`, as PyTorch does it.

  Gradients of tables, which TensorFlow keeps sparse, become dense.
  """
  gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
  norm = tf.sqrt(tf.add_n([tf.reduce_sum(gradient**2) for gradient in gradients]))
  scale = tf.minimum(limit / (norm + 1e-6), 1)
  return [gradient * scale for gradient in gradients]


def groups(model: tf_keras.layers.Layer) -> Callable[[tf.Variable], Group]:
  """Rate and decay of each variable: norms and embeddings do not decay, the backbone learns slower.

  By what a variable is and where it belongs, not by its name.
  """
  layers = (model, *model.submodules)
  still = {v.ref() for layer in layers if isinstance(layer, _NORMS) for v in layer.weights}
  for layer in layers:
    still |= {getattr(layer, name).ref() for name in _EMBEDDINGS if hasattr(layer, name)}
  backbone = getattr(model, "backbone", None)
  slow = {variable.ref() for variable in backbone.weights} if backbone else set()

  def group(variable: tf.Variable) -> Group:
    return Group(
      multiplier=BACKBONE_MULTIPLIER if variable.ref() in slow else 1.0,
      decay=0.0 if variable.ref() in still else WEIGHT_DECAY,
    )

  return group


class Training:
  """What a train step needs of a task, and no more.

  Attributes:
    loss: which of the logs is the loss.

  Args:
    call: (model, batch, training) → outputs.
    losses: (outputs, batch) → terms and "total".
  """

  loss = "total"

  def __init__(
    self, call: Callable[..., Any], losses: Callable[..., Mapping[str, tf.Tensor]]
  ) -> None:
    self.call, self.losses = call, losses

  def train_step(
    self,
    inputs: Mapping[str, tf.Tensor],
    model: tf_keras.layers.Layer,
    optimizer: tf_keras.optimizers.Optimizer,
    metrics: Any = None,
  ) -> dict[str, tf.Tensor]:
    """Forward, backward, clip, update; returns the loss and its terms."""
    del metrics
    with tf.GradientTape() as tape:
      losses = self.losses(self.call(model, inputs, True), inputs)
    variables = model.trainable_variables
    gradients = clip_by_global_norm(tape.gradient(losses["total"], variables), CLIP_NORM)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return dict(losses)
