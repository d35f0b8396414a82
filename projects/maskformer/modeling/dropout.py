"""Dropout and stochastic depth."""

import contextlib
import contextvars
import itertools
from collections.abc import Iterator, Sequence

import tensorflow as tf

# Of each thread its own: replicas are traced in threads.
_SEEDS: contextvars.ContextVar[Iterator[tf.Tensor] | None] = contextvars.ContextVar(
  "seeds", default=None
)


@contextlib.contextmanager
def drawn_from(seed: int, step: tf.Tensor) -> Iterator[None]:
  """Within, what is drawn follows from seed, step, replica and place in the network alone.

  A run that is taken up again thus draws as it would have; without this, TensorFlow begins anew.

  Args:
    seed: of the run.
    step: () integer, how many steps of training are done.
  """
  fold = tf.random.experimental.stateless_fold_in
  replica = tf.distribute.get_replica_context().replica_id_in_sync_group
  key = tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)])
  key = fold(key, tf.cast(replica, tf.int64))
  token = _SEEDS.set(fold(key, tf.constant(place, tf.int64)) for place in itertools.count())
  try:
    yield
  finally:
    _SEEDS.reset(token)


def dropout(
  x: tf.Tensor, rate: float, training: bool, shape: Sequence[int | tf.Tensor] | None = None
) -> tf.Tensor:
  """Zeroes a share of `x` in training and enlarges the rest, so that the mean stays.

  What to drop is drawn in float32: `tf.nn.dropout` draws it in bfloat16 where `x` is, and drops 1.6
  % more than it should.

  Args:
    x: of any shape and float dtype.
    rate: share that is dropped, in 0..1, 1 excluded.
    training: False: `x` as it is.
    shape: of what is drawn, broadcastable to that of `x`; None: the same.
  """
  if not training or not rate:
    return x
  kept = _uniform(tf.shape(x) if shape is None else shape) >= rate
  return tf.where(kept, x * (1 / (1 - rate)), tf.zeros([], x.dtype))


def _uniform(shape: Sequence[int | tf.Tensor] | tf.Tensor) -> tf.Tensor:
  seeds = _SEEDS.get()
  if seeds is None:
    return tf.random.uniform(shape)
  return tf.random.stateless_uniform(shape, next(seeds))


def drop_path(x: tf.Tensor, rate: float, training: bool) -> tf.Tensor:
  """Stochastic depth (Huang et al. 2016): whole images are dropped from [b, h, w, c]."""
  return dropout(x, rate, training, [tf.shape(x)[0], 1, 1, 1])
