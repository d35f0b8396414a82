"""Decoding against PIL."""

import io

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from official.training import pixels


def smooth(height=96, width=130, channels=3):
  y, x = np.mgrid[:height, :width]
  planes = [128 + 100 * np.sin((y * (c + 1) + x * 2) / 40) for c in range(channels)]
  return np.stack(planes, -1).astype(np.uint8).squeeze()


def encode(array, form, **options):
  file = io.BytesIO()
  PIL.Image.fromarray(array).save(file, form, **options)
  return file.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("channels", [1, 3])
def test_decode_is_pil(form, channels):
  data = encode(smooth(channels=channels), form)
  expected = np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB"))
  ours = pixels.decode(tf.constant(data)).numpy()
  assert np.abs(ours.astype(int) - expected).max() <= 1


def test_decode_of_photographs_is_pil(shared):
  for path in sorted((shared / "data/coco_sample/input_images").glob("*.jpg")):
    expected = np.asarray(PIL.Image.open(path).convert("RGB"))
    ours = pixels.decode(tf.constant(path.read_bytes())).numpy()
    assert np.abs(ours.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
  ("scale", "ratio"), [(1.5, 1), (0.51, 1), (0.5, 2), (0.26, 2), (0.25, 4), (0.125, 8), (0.01, 8)]
)
@pytest.mark.parametrize("where", ["eager", "dataset"])
def test_decode_fast_shrinks_but_not_below_the_wanted_size(scale, ratio, where):
  array = smooth()
  inputs = (tf.constant(encode(array, "JPEG", quality=95)), tf.constant(scale))
  if where == "eager":
    ours = pixels.decode_fast(*inputs)
  else:
    ours = next(iter(tf.data.Dataset.from_tensors(inputs).map(pixels.decode_fast)))
  padded = np.pad(array, [(0, -96 % ratio), (0, -130 % ratio), (0, 0)], "edge").astype(float)
  height, width = padded.shape[0] // ratio, padded.shape[1] // ratio
  expected = padded.reshape(height, ratio, width, ratio, 3).mean((1, 3))
  assert ours.shape == expected.shape
  assert np.abs(ours.numpy() - expected).mean() < 3


def test_decode_fast_leaves_png_at_full_size():
  array = smooth()
  ours = pixels.decode_fast(tf.constant(encode(array, "PNG")), tf.constant(0.1))
  np.testing.assert_array_equal(ours, array)
