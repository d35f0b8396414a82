"""Image files of many kinds, against Pillow and TensorFlow."""

import os
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from official.cli.errors import UserError
from official.serving import image_files


@pytest.fixture
def pixels():
  """Smooth, so that a JPEG keeps it well: [20, 32, 3] uint8."""
  small = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
  return np.asarray(Image.fromarray(small).resize((32, 20), Image.Resampling.BICUBIC))


def save(tmp_path, image, name, **options):
  path = tmp_path / name
  image.save(path, **options)
  return path


@pytest.mark.parametrize("quality", [60, 95])
def test_a_jpeg_has_the_pixels_that_training_sees(tmp_path, pixels, quality):
  path = save(tmp_path, Image.fromarray(pixels), "a.jpg", quality=quality)
  decoded = tf.io.decode_jpeg(path.read_bytes(), channels=3, dct_method="INTEGER_ACCURATE")
  np.testing.assert_array_equal(image_files.read(path), decoded)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.webp"])
def test_lossless_formats(tmp_path, pixels, name):
  options = {"lossless": True} if name.endswith("webp") else {}
  path = save(tmp_path, Image.fromarray(pixels), name, **options)
  np.testing.assert_array_equal(image_files.read(path), pixels)


def test_grey_levels_become_rgb(tmp_path, pixels):
  grey = pixels[..., 0]
  read = image_files.read(save(tmp_path, Image.fromarray(grey), "a.png"))
  np.testing.assert_array_equal(read, np.stack([grey] * 3, -1))


def test_sixteen_bits_become_eight(tmp_path, pixels):
  deep = pixels[..., 0].astype(np.uint16) * 256 + 77
  path = save(tmp_path, Image.fromarray(deep), "a.png")
  decoded = tf.io.decode_png(path.read_bytes(), channels=3, dtype=tf.uint8)
  np.testing.assert_array_equal(image_files.read(path), decoded)


def test_transparency_is_dropped(tmp_path, pixels):
  alpha = np.full((20, 32, 1), 9, np.uint8)
  path = save(tmp_path, Image.fromarray(np.concatenate([pixels, alpha], -1)), "a.png")
  np.testing.assert_array_equal(image_files.read(path), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_image_upright(tmp_path, pixels, orientation):
  stored = pixels  # What the sensor saw; the tag tells how it is held.
  exif = Image.Exif()
  exif[0x0112] = orientation
  path = save(tmp_path, Image.fromarray(stored), "a.png", exif=exif)
  turns = {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}[orientation]
  mirrored = stored[:, ::-1] if orientation in (2, 4, 5, 7) else stored
  np.testing.assert_array_equal(image_files.read(path), np.rot90(mirrored, turns))


def test_find_files_folders_and_patterns_once_each(tmp_path):
  for name in ("b.jpg", "a.PNG", "c.webp", "notes.txt", "sub/deep/d.jpeg"):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
  found = image_files.find(
    [
      str(tmp_path / "c.webp"),
      str(tmp_path),
      str(tmp_path / "**" / "*.jp*g"),
      str(tmp_path / "notes.txt"),
    ]
  )
  names = [os.path.relpath(path, tmp_path) for path in found]
  assert names == ["c.webp", "a.PNG", "b.jpg", "sub/deep/d.jpeg", "notes.txt"]


@pytest.mark.parametrize(
  ("argument", "message"),
  [("none.jpg", "no image .*none.jpg"), ("*.gif", r"no image .*\*.gif"), ("", "no image in the")],
)
def test_nothing_found(tmp_path, argument, message):
  with pytest.raises(UserError, match=message):
    image_files.find([f"{tmp_path}/{argument}"])


def test_broken_files_are_named(tmp_path, pixels):
  whole = save(tmp_path, Image.fromarray(pixels), "whole.jpg").read_bytes()
  png = save(tmp_path, Image.fromarray(pixels), "whole.png").read_bytes()
  header = b"IHDR" + struct.pack(">II", 60000, 60000) + png[24:29]
  huge = png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]
  contents = {"cut.jpg": whole[:500], "cut.png": png[:200], "text.jpg": b"hello", "empty.jpg": b""}
  for name, data in (contents | {"huge.png": huge}).items():
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError) as caught:
      image_files.read(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path):
  with pytest.raises(UserError, match=r"gone\.jpg: cannot be read: No such file"):
    image_files.read(tmp_path / "gone.jpg")
