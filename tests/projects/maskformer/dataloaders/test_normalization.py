"""Normalization against torchvision's formula in double precision."""

import numpy as np
import pytest
import tensorflow as tf

from projects.maskformer.dataloaders.normalization import normalize

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.mark.parametrize("dtype", [tf.float64, tf.float32, tf.bfloat16])
def test_imagenet(dtype):
  images = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), np.uint8)
  ours = normalize(tf.constant(images), dtype=dtype)
  assert ours.dtype == dtype
  tolerance = {"float64": 1e-12, "float32": 1e-5, "bfloat16": 0.03}[dtype.name]
  np.testing.assert_allclose(np.float64(ours), (images / 255 - MEAN) / STD, atol=tolerance, rtol=0)


def test_padding_becomes_zero():
  images = np.full((2, 2, 3, 3), 128, np.uint8)
  padding = np.array([[[1, 1, 0], [1, 1, 0]], [[1, 1, 1], [0, 0, 0]]], bool)
  ours = normalize(tf.constant(images), tf.constant(padding)).numpy()
  assert (ours[~padding] == 0).all()
  np.testing.assert_array_equal(ours[padding], normalize(tf.constant(images)).numpy()[padding])
