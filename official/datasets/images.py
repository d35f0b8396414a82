"""Image files as bytes: read, and checked without decoding the pixels where that is possible."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from official.datasets.problems import BadInput

_FORMATS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png"}  # MPO: a JPEG with a second one behind it.
_JPEG_END = b"\xff\xd9"


def read_bytes(path: Path) -> bytes:
  """The file's bytes.

  Raises:
    BadInput: when it cannot be read.
  """
  try:
    return path.read_bytes()
  except OSError as error:
    raise BadInput(f"cannot read {path}: {error.strerror}") from error


def image_size(data: bytes) -> tuple[int, int]:
  """Height and width of an encoded image, from its header.

  Raises:
    BadInput: when it is neither JPEG nor PNG.
  """
  with _reading():
    image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))
  return image.height, image.width


def check_image(data: bytes, height: int, width: int) -> str:
  """Checks an encoded image and returns its format, `jpg` or `png`.

  Checked: the header, the size in pixels, and that the file is whole. A JPEG is whole when it ends
  with its end marker; one that does not is decoded to tell a truncated file from one with
  something behind the image. A PNG is whole when all its chunks are there and their checksums hold.

  Args:
    data: the file's bytes.
    height: expected, in pixels.
    width: expected, in pixels.

  Raises:
    BadInput: when the image is unreadable, truncated, of another format or of another size.
  """
  with _reading():
    image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))
    if image.size != (width, height):
      raise BadInput(f"the image is {image.width}x{image.height}, not {width}x{height}")
    if image.format == "PNG":
      image.verify()
    elif not data.endswith(_JPEG_END):
      image.load()
  return _FORMATS[image.format or ""]


@contextlib.contextmanager
def _reading() -> Iterator[None]:
  """Turns what Pillow raises into `BadInput`."""
  try:
    yield
  except Image.UnidentifiedImageError as error:
    raise BadInput("the file is neither JPEG nor PNG, or its header is broken") from error
  except (OSError, SyntaxError, ValueError, EOFError) as error:
    raise BadInput(f"the image is broken or truncated: {error}") from error
