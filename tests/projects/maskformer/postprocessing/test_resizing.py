"""Rows at the original size against PyTorch's two resizes."""

import numpy as np
import pytest
import tensorflow as tf
import torch
from torch.nn import functional

from projects.maskformer.postprocessing.resizing import Frame, by_stripes, rows_of

FRAMES = {
  "smaller": Frame((800, 1088), (800, 1067), (480, 640)),
  "larger": Frame((96, 128), (90, 101), (427, 640)),
  "as it was": Frame((64, 96), (64, 96), (64, 96)),
  "cut off inside a cell": Frame((64, 64), (33, 35), (50, 41)),
  "one pixel": Frame((32, 32), (32, 32), (1, 1)),
  "one row": Frame((32, 64), (1, 60), (17, 90)),
}


def _torch(values, frame):
  resize = lambda x, size: functional.interpolate(x, size, mode="bilinear", align_corners=False)
  wide = resize(torch.from_numpy(values.transpose(2, 0, 1)[None].copy()), frame.padded)
  image = wide[:, :, : frame.image[0], : frame.image[1]]
  return resize(image, frame.original)[0].numpy().transpose(1, 2, 0)


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 4e-6), (np.float64, 1e-13)])
def test_equals_pytorch(name, dtype, tolerance):
  frame = FRAMES[name]
  shape = (frame.padded[0] // 4, frame.padded[1] // 4, 2)
  values = np.random.default_rng(0).normal(0, 5, shape).astype(dtype)
  got = by_stripes(rows_of(tf.constant(values), frame), frame, dtype)
  assert got.dtype == dtype
  # Positions in another rounding would give errors of 1e-4 in float32.
  np.testing.assert_allclose(got, _torch(values, frame), rtol=0, atol=tolerance * 20)


def test_between_the_resizes():
  frame = FRAMES["cut off inside a cell"]
  values = np.random.default_rng(1).normal(0, 5, (16, 16, 3))
  got = by_stripes(rows_of(tf.constant(values), frame, tf.square), frame, tf.float64)
  resize = lambda x, size: functional.interpolate(x, size, mode="bilinear", align_corners=False)
  wide = resize(torch.from_numpy(values.transpose(2, 0, 1)[None].copy()), (64, 64)).square()
  want = resize(wide[:, :, :33, :35], (50, 41))[0].numpy().transpose(1, 2, 0)
  np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("height", [1, 15, 16, 17, 48])
def test_stripes_make_every_row_once(height):
  frame = Frame((8, 8), (8, 8), (height, 5))
  rows, double = by_stripes(
    lambda rows: (rows, tf.stack([rows, 2 * rows], axis=1)), frame, (tf.int32, tf.int32)
  )
  np.testing.assert_array_equal(rows, np.arange(height))
  np.testing.assert_array_equal(double, np.arange(height)[:, None] * [1, 2])
