"""Weights, images and sums that anyone makes again, bit for bit, and where values are sampled."""

import zlib
from pathlib import Path

import numpy as np

SIZES = {"v7-tiny": 64, "v7": 64, "v7-w6": 128}  # Side of the input in pixels.
RECORDING = Path(__file__).with_name("original.npz")
STEPS, WARMUP = 10, 6  # Of the recorded training.
RATE_SHARE = 0.01  # Of the published rates: at full ones rounding grows thirtyfold in a step.
SCENE = "mixed"  # Of `v7_scenes`: its objects.
_SAMPLES = 16  # Of each layer's output and of each gradient.


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
  """The parameter or statistic `name` of the original, float64."""
  rng = np.random.default_rng(zlib.crc32(name.encode()))
  if name.endswith("running_var"):
    return rng.uniform(0.5, 1.5, shape)
  if ".im." in name or (len(shape) == 1 and name.endswith(".weight")):
    return rng.uniform(0.7, 1.3, shape)
  spread = 1.4 / np.sqrt(np.prod(shape[1:])) if name.endswith(".weight") else 0.2
  return rng.normal(0, spread, shape)


def images(size: int) -> np.ndarray:
  """[2, 3, s, s] float64 in 0..1."""
  return np.random.default_rng(1).random((2, 3, size, size))


def factors(shape: tuple[int, ...], index: int) -> np.ndarray:
  """Of the sum that is differentiated: what the original's `index`-th output is multiplied by."""
  return np.random.default_rng(100 + index).normal(0, 1, shape)


def sample(array: np.ndarray) -> np.ndarray:
  """Some values of an array in the original's layout."""
  flat = array.reshape(-1)
  return flat[np.linspace(0, flat.size - 1, _SAMPLES).astype(int)]


def change(name: str, after: np.ndarray) -> np.ndarray:
  """Some values of what training added to `weight(name, …)`."""
  return sample(after) - sample(weight(name, after.shape))


def difference(found: np.ndarray, wanted: np.ndarray) -> float:
  """Largest difference as a share of the largest wanted value."""
  return float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-12))
