"""Evidence made by hand: a layer with a mistake, and what the original makes of the same inputs."""

import numpy as np
import tensorflow as tf
import tf_keras

from official.parity.diagnosis import engine
from official.parity.diagnosis.evidence import LayerEvidence

LAYERS = tf_keras.layers


def rng(seed=0):
  return np.random.default_rng(seed)


def normal(*shape, seed=0):
  return rng(seed).normal(size=shape)


def randomize(layer, *args, seed=1):
  """Makes the layer's variables, of float64, and gives each of them random values."""
  layer(*[tf.constant(a) for a in args])
  random = rng(seed)
  for variable in layer.variables:
    positive = "variance" in variable.name or "gamma" in variable.name
    values = (
      random.uniform(0.5, 1.5, variable.shape) if positive else random.normal(size=variable.shape)
    )
    variable.assign(values / (1 if positive else np.sqrt(max(1, np.prod(variable.shape[:-1])))))
  return layer


def evidence(layer, original, *args, kwargs=None, training=False, **fields):
  """`original` is an array, or a dictionary of them by leaf."""
  outputs = original if isinstance(original, dict) else {"": np.asarray(original)}
  tensors = tuple(tf.constant(a) if isinstance(a, np.ndarray) else a for a in args)
  return LayerEvidence(layer, "block/layer", tensors, kwargs or {}, outputs, training, **fields)


MISFITS = ("InvalidArgumentError", "ValueError", "LayoutError")


def first(found):
  """The first diagnosis; it must close the gap. Nothing but edits that do not fit may fail."""
  assert all(any(misfit in reason for misfit in MISFITS) for _, reason in found.failures)
  assert found.diagnoses, found.failures
  best = found.diagnoses[0]
  assert best.closes, found.diagnoses
  assert best.after <= 1e-9 < best.before
  return best


def cause(layer, original, *args, **fields):
  """The cause found for a layer that differs from its original."""
  return first(engine.examine(evidence(layer, original, *args, **fields))).cause
