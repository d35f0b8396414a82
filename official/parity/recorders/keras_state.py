"""TensorFlow's global state while a network is recorded: seeds, eagerness, determinism."""

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow.python.eager import context
from tensorflow.python.framework import config


@contextlib.contextmanager
def prepared(network: tf_keras.layers.Layer, seed: int) -> Iterator[None]:
  """One pass, eager, seeded, deterministic; afterwards network and globals are as they were."""
  trained = {id(variable) for variable in network.trainable_variables}
  others = [(v, v.numpy()) for v in network.variables if id(v) not in trained]
  try:
    with _seeded(seed), _deterministic(), _eager():
      yield
  finally:
    for variable, value in others:
      variable.assign(value)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
  own, numpys, tensorflows = random.getstate(), np.random.get_state(), context.global_seed()
  tf_keras.utils.set_random_seed(seed)
  try:
    yield
  finally:
    random.setstate(own)
    np.random.set_state(numpys)
    tf.random.set_seed(tensorflows)


@contextlib.contextmanager
def _deterministic() -> Iterator[None]:
  before = config.is_op_determinism_enabled()
  tf.config.experimental.enable_op_determinism()
  try:
    yield
  finally:
    if not before:
      config.disable_op_determinism()


@contextlib.contextmanager
def _eager() -> Iterator[None]:
  before = tf.config.functions_run_eagerly()
  tf.config.run_functions_eagerly(True)
  try:
    yield
  finally:
    tf.config.run_functions_eagerly(before)
