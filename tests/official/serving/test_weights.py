"""Which weights a checkpoint gives."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from official.cli.errors import UserError
from official.modeling import optimization
from official.serving import weights


def model(units=3):
  layers = [tf_keras.Input([2]), tf_keras.layers.Dense(units), tf_keras.layers.BatchNormalization()]
  return tf_keras.Sequential(layers)


def values(of):
  return [variable.numpy() for variable in of.variables]


def fill(variables, start):
  for index, variable in enumerate(variables):
    variable.assign(tf.fill(variable.shape, float(start + index)))


def test_plain_weights(tmp_path):
  saved, loaded = model(), model()
  fill(saved.variables, 10)
  path = tf.train.Checkpoint(model=saved, global_step=tf.Variable(5)).write(str(tmp_path / "c-5"))
  weights.load(loaded, path)
  for one, other in zip(values(loaded), values(saved), strict=True):
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("trainable_only", [True, False])
def test_averages_where_there_are_any(tmp_path, trainable_only):
  saved, loaded = model(), model()
  optimizer = optimization.ExponentialMovingAverage(
    tf_keras.optimizers.legacy.SGD(0.1, momentum=0.9), trainable_weights_only=trainable_only
  )
  optimizer.shadow_copy(saved)
  gradients = [tf.ones_like(variable) for variable in saved.trainable_variables]
  optimizer.apply_gradients(zip(gradients, saved.trainable_variables, strict=True))
  fill(saved.variables, 10)
  fill(optimizer._average_weights, 50)
  # As TFMG's trainer does; `head` gives variables another name in the file.
  checkpoint = tf.train.Checkpoint(
    model=saved, optimizer=optimizer, global_step=tf.Variable(5), head=saved.layers[0]
  )
  weights.load(loaded, checkpoint.write(str(tmp_path / "ckpt-5")))

  averaged = {id(variable) for variable in optimizer._model_weights}
  expected = iter(range(50, 60))
  for index, (variable, value) in enumerate(zip(saved.variables, values(loaded), strict=True)):
    number = next(expected) if id(variable) in averaged else 10 + index
    np.testing.assert_array_equal(value, np.full(value.shape, number))


def test_another_model_is_an_error_of_one_line(tmp_path):
  path = tf.train.Checkpoint(model=model()).write(str(tmp_path / "c-1"))
  with pytest.raises(UserError, match="cannot be loaded") as caught:
    weights.load(model(units=4), path)
  assert "\n" not in str(caught.value)
  deeper = tf_keras.Sequential([model(), tf_keras.layers.Dense(1)])
  with pytest.raises(UserError, match="cannot be loaded"):
    weights.load(deeper, path)


def test_a_damaged_file_is_an_error_of_one_line(tmp_path):
  path = tf.train.Checkpoint(model=model()).write(str(tmp_path / "c-1"))
  (tmp_path / "c-1.data-00000-of-00001").write_bytes(b"")
  with pytest.raises(UserError, match="c-1 cannot be loaded") as caught:
    weights.load(model(), path)
  assert "\n" not in str(caught.value)
