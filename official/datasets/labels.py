"""Pixel labels: image files whose values name categories."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from official.datasets.problems import BadInput

VOID = -1
_MODES = ("L", "P", "I", "I;16", "I;16B")  # One integer a pixel; P: the index into the palette.


def read_labels(path: Path, height: int, width: int) -> np.ndarray:
  """The values of a label image (PNG or TIFF, of 8 or 16 bits): integers [h, w].

  Raises:
    BadInput: when the file is missing, broken, of several channels or of another size.
  """
  pixels, mode = _read_pixels(path, height, width)
  if mode not in _MODES:
    raise BadInput(f"the labels {path} are {mode}, not one number a pixel")
  return pixels


def read_channels(path: Path, height: int, width: int) -> np.ndarray:
  """An RGB image whose channels are numbers: uint8 [h, w, 3]; raises as `read_labels`."""
  pixels, mode = _read_pixels(path, height, width)
  if mode != "RGB":
    raise BadInput(f"{path} is {mode}, not RGB")
  return pixels


def read_mat(path: Path, height: int, width: int) -> np.ndarray:
  """The values of a label matrix `S` in a MATLAB 7.3 file: integers [h, w].

  Raises:
    BadInput: when the file is missing, broken, without such a matrix or of another size.
  """
  import h5py  # TensorFlow brings it; only this kind of file wants it.

  try:
    with h5py.File(path) as file:
      values = np.asarray(file["S"]).T  # MATLAB counts down the columns.
  except (OSError, KeyError) as error:
    raise BadInput(f"cannot read the labels S of {path}: {error}") from error
  if not np.array_equal(values, whole := values.astype(np.int64)):
    raise BadInput(f"the labels {path} are not whole numbers")
  _check_size(path, whole.shape[::-1], height, width)
  return whole


def contiguous(values: np.ndarray, ids: Sequence[int], void: Sequence[int]) -> np.ndarray:
  """Label values [h, w] to contiguous classes, int32 [h, w]: the value's place in `ids`, or `VOID`.

  Raises:
    BadInput: for a value that is in neither list.
  """
  unknown = VOID - 1
  table = np.full(max(*ids, *void, 0) + 2, unknown, np.int32)
  table[list(void)] = VOID
  table[list(ids)] = np.arange(len(ids))
  # Beyond either end: the last, which is unknown.
  classes = table[np.clip(values.astype(np.int64), -1, len(table) - 1)]
  if (classes == unknown).any():
    raise BadInput(f"label {values[classes == unknown][0]} is neither a category nor void")
  return classes


def _read_pixels(path: Path, height: int, width: int) -> tuple[np.ndarray, str]:
  try:
    with Image.open(path) as image:
      _check_size(path, image.size, height, width)
      return np.asarray(image), image.mode
  except (OSError, SyntaxError, ValueError) as error:
    raise BadInput(f"cannot read the labels {path}: {error}") from error


def _check_size(path: Path, size: Sequence[int], height: int, width: int) -> None:
  if tuple(size) != (width, height):
    raise BadInput(f"the labels {path} are {size[0]}x{size[1]}, the image {width}x{height}")
