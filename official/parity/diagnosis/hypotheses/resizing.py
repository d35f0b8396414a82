"""Resizing as matrices: every method, alignment and filter that originals use, in any precision.

out[i] = Σ_j M[i, j] · in[j] along rows, then along columns.
"""

import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Filter = Callable[[np.ndarray], np.ndarray]


def _cubic(a: float) -> Filter:
  """Keys' kernel (1981) with slope `a`: −0.75 in PyTorch and OpenCV, −0.5 in Pillow and TF."""

  def kernel(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))

  return kernel


def _lanczos(x: np.ndarray) -> np.ndarray:
  return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


# Method → (reach, kernel).
FILTERS: dict[str, tuple[float, Filter]] = {
  "bilinear": (1.0, lambda x: np.maximum(0.0, 1 - np.abs(x))),
  "bicubic": (2.0, _cubic(-0.75)),
  "bicubic (a = −0.5)": (2.0, _cubic(-0.5)),
  "lanczos": (3.0, _lanczos),
}
METHODS = (*FILTERS, "nearest", "area")
COORDINATES = ("half-pixel", "aligned corners", "top left")


class Resize(NamedTuple):
  """How to resize."""

  method: str
  coordinates: str
  antialias: bool = False

  def __str__(self) -> str:
    return f"{self.method}, {self.coordinates}{', antialiased' if self.antialias else ''}"


WAYS = tuple(
  Resize(method, coordinates, antialias)
  for antialias, method, coordinates in itertools.product((False, True), METHODS, COORDINATES)
  if method in FILTERS or not antialias
  if method != "area" or coordinates == "half-pixel"
)


@functools.lru_cache(maxsize=256)
def matrix(way: Resize, size: int, made: int) -> np.ndarray:
  """[made, size] weights."""
  if way.method == "area":
    return _area(size, made)
  centres = _centres(way.coordinates, size, made)
  if way.method == "nearest":
    rule = {
      "half-pixel": lambda x: np.floor(x + 0.5),
      "aligned corners": lambda x: np.floor(x + 0.5),
    }
    chosen = rule.get(way.coordinates, np.floor)(centres)
    return np.eye(size)[np.clip(chosen, 0, size - 1).astype(int)]
  reach, kernel = FILTERS[way.method]
  wide = max(size / made, 1.0) if way.antialias else 1.0
  return _filtered(centres, size, reach * wide, lambda x: kernel(x / wide), way.antialias)


def _centres(coordinates: str, size: int, made: int) -> np.ndarray:
  out = np.arange(made)
  if coordinates == "half-pixel":
    return (out + 0.5) * size / made - 0.5
  if coordinates == "aligned corners":
    return out * ((size - 1) / max(made - 1, 1))
  return out * size / made


def _filtered(
  centres: np.ndarray, size: int, reach: float, kernel: Filter, renormalized: bool
) -> np.ndarray:
  """Weights of each pixel; beyond the edge they go to the edge, or to nobody (renormalized)."""
  weights = np.zeros((len(centres), size))
  for row, centre in enumerate(centres):
    taps = np.arange(int(np.floor(centre - reach)) - 1, int(np.ceil(centre + reach)) + 2)
    values = kernel(taps - centre)
    inside = (taps >= 0) & (taps < size)
    if renormalized:
      np.add.at(weights[row], taps[inside], values[inside] / values[inside].sum())
    else:
      np.add.at(weights[row], np.clip(taps, 0, size - 1), values)
  return weights


def _area(size: int, made: int) -> np.ndarray:
  """Means of the pixels that each one covers in part, as adaptive average pooling takes them."""
  weights = np.zeros((made, size))
  for row in range(made):
    start, stop = row * size // made, -(-(row + 1) * size // made)
    weights[row, start:stop] = 1 / (stop - start)
  return weights


def resize(
  image: np.ndarray, way: Resize, height: int, width: int, weights: Filter = lambda w: w
) -> np.ndarray:
  """[b, h, w, c] float → [b, height, width, c]; `weights` are passed through a function."""
  rows, columns = (
    weights(matrix(way, size, made)).astype(image.dtype)
    for size, made in zip(image.shape[1:3], (height, width), strict=True)
  )
  down = np.tensordot(rows, image, (1, 1))  # [height, b, w, c]
  return np.moveaxis(np.tensordot(columns, down, (1, 2)), (0, 1, 2), (2, 1, 0))


def cause(now: Resize, other: Resize) -> str:
  """What tells one way from the other."""
  if now.method != other.method:
    return "resize_method"
  return "resize_coordinates" if now.coordinates != other.coordinates else "resize_antialias"
