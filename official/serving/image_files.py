"""Image files that users name: found, and read as people see them."""

import glob
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from official.cli.errors import UserError

_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")  # Looked for in folders.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


def find(arguments: Sequence[str]) -> list[Path]:
  """The files that `arguments` name, each once: files, folders (not below), and patterns.

  Raises:
    UserError: an argument names nothing, or a folder without images.
  """
  return list(dict.fromkeys(path for argument in arguments for path in _find(argument)))


def _find(argument: str) -> Iterator[Path]:
  path = Path(argument)
  if path.is_dir():
    found = sorted(each for each in path.iterdir() if each.suffix.lower() in _SUFFIXES)
    if not found:
      raise UserError(f"no image in the folder {path} (looked for {', '.join(_SUFFIXES)})")
    yield from found
  elif path.exists():
    yield path
  else:
    found = sorted(map(Path, glob.glob(argument, recursive=True)))
    if not found:
      raise UserError(f"no image {argument}")
    yield from found


def read(path: Path) -> np.ndarray:
  """The image in `path`, [h, w, 3] uint8 RGB, turned upright as its EXIF data say.

  Grey levels and palettes become RGB, transparency is dropped, 16 bits become 8. A JPEG that needs
  no turning has the very pixels of `tf.io.decode_jpeg(dct_method="INTEGER_ACCURATE")`.

  Raises:
    UserError: it cannot be read, is broken, or is not an image.
  """
  try:
    with Image.open(path) as image:
      upright = ImageOps.exif_transpose(image)
      if upright.mode.startswith("I"):
        grey = (np.asarray(upright) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
      return np.asarray(upright.convert("RGB"))
  except Image.UnidentifiedImageError as error:
    raise UserError(f"{path}: not an image, or its header is broken") from error
  except _BROKEN as error:
    reason = getattr(error, "strerror", None) or error
    raise UserError(f"{path}: cannot be read: {reason}") from error
