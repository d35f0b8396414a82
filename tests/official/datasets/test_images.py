import io

import numpy as np
import pytest
from PIL import Image

from official.datasets.images import check_image, read_bytes
from official.datasets.problems import BadInput

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)


def encoded(kind, **options):
  out = io.BytesIO()
  Image.fromarray(PIXELS).save(out, kind, **options)
  return out.getvalue()


@pytest.mark.parametrize(
  ("data", "name"),
  [
    (encoded("JPEG"), "jpg"),
    (encoded("JPEG", progressive=True), "jpg"),
    (encoded("JPEG") + b"what a camera writes behind", "jpg"),
    (encoded("PNG"), "png"),
  ],
)
def test_whole_images_pass(data, name):
  assert check_image(data, height=24, width=32) == name


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.98])
def test_truncated_images_do_not(kind, share):
  data = encoded(kind)
  with pytest.raises(BadInput):
    check_image(data[: int(share * len(data))], height=24, width=32)


def test_zero_filled_tail_is_a_truncation():
  data = encoded("JPEG")
  half = len(data) // 2
  with pytest.raises(BadInput, match="truncated"):
    check_image(data[:half] + bytes(half), height=24, width=32)


def test_flipped_bit_in_a_png():
  data = bytearray(encoded("PNG"))
  data[len(data) // 2] ^= 1
  with pytest.raises(BadInput, match="broken"):
    check_image(bytes(data), height=24, width=32)


def test_other_size_and_other_format():
  with pytest.raises(BadInput, match="the image is 32x24, not 24x32"):
    check_image(encoded("JPEG"), height=32, width=24)
  with pytest.raises(BadInput, match="neither JPEG nor PNG"):
    check_image(encoded("BMP"), height=24, width=32)


def test_unreadable_file(tmp_path):
  with pytest.raises(BadInput, match=r"gone\.jpg: No such file"):
    read_bytes(tmp_path / "gone.jpg")
