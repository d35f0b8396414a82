"""`[reorg]` against Darknet's loops over memory."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from projects.yolo.modeling.darknet.reorg import Reorg


def reorg(x, stride, reverse):
  """[c, h, w] as `reorg_cpu` of Darknet's `blas.c` counts."""
  c, h, w = x.shape
  source, out = x.reshape(-1), np.zeros(x.size)
  inner = c // stride**2
  for near, (k, j, i) in enumerate(np.ndindex(c, h, w)):
    column, row = i * stride + k // inner % stride, j * stride + k // inner // stride
    far = column + w * stride * (row + h * stride * (k % inner))
    if reverse:
      out[far] = source[near]
    else:
      out[near] = source[far]
  if reverse:
    return out.reshape(inner, h * stride, w * stride)
  return out.reshape(c * stride**2, h // stride, w // stride)


@pytest.mark.parametrize(("stride", "shape"), [(2, (8, 4, 6)), (2, (4, 2, 2)), (3, (18, 3, 6))])
@pytest.mark.parametrize("reverse", [False, True])
def test_it_is_darknets(stride, shape, reverse):
  x = np.random.default_rng(0).normal(size=[2, *shape])
  layer = Reorg(stride, reverse)
  twin = tf_keras.utils.deserialize_keras_object(tf_keras.utils.serialize_keras_object(layer))
  for each in (layer, twin):
    got = each(tf.constant(x.transpose(0, 2, 3, 1), tf.float32))
    for image, output in zip(x, got.numpy(), strict=True):
      want = reorg(image, stride, reverse).transpose(1, 2, 0)
      np.testing.assert_array_equal(output, want.astype(np.float32))
