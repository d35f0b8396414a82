"""A tiny step, and the real compiler where it is installed."""

import importlib.util
import os

import pytest
import tensorflow as tf
import tf_keras

from official.tpu.step import Step

os.environ.setdefault("JAX_PLATFORMS", "cpu")


class Tiny:
  """Stands for a trainer: a model and a step."""

  def __init__(self, model):
    self.model = model


def step_of(function, *specs, model=None, replicas=1, precision="float32"):
  """A `Step` of any function, without an experiment."""
  compiled = tf.function(function, jit_compile=True, autograph=False)
  names = tuple(f"input_{index}" for index in range(len(specs)))
  trainer = Tiny(model or tf.Module())
  return Step("train", replicas, compiled, specs, names, (), trainer, precision)


def network():
  """A convolution of 3 to 16 channels and a dense layer, on 8 × 8 images."""
  layers = tf_keras.layers
  return tf_keras.Sequential(
    [
      layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem", input_shape=(8, 8, 3)),
      layers.GlobalAveragePooling2D(name="pool"),
      layers.Dense(10, use_bias=False, name="head"),
    ],
    name="net",
  )


@pytest.fixture(scope="session")
def libtpu():
  """Skips where the TPU's compiler is not installed."""
  for name in ("jax", "libtpu"):
    if importlib.util.find_spec(name) is None:
      pytest.skip(f"no {name} here: pip install -e '.[tpu]'")
