"""Random numbers that are the same bits on every machine: draws named by text, no rounding.

A counter-based generator's raw bits (Salmon et al. 2011, Philox) become multiples of 2⁻⁵³ by shifts
alone. NumPy promises the same raw bits in every version; its distributions are not promised.
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np


def uniform(shape: Sequence[int], *name: object) -> np.ndarray:
  """[shape] float64 in [0, 1), of all draws of this `name` the same."""
  bits = _generator(name).random_raw(math.prod(shape)) >> np.uint64(11)
  return (bits.astype(np.float64) * 2.0**-53).reshape(shape)


def symmetric(shape: Sequence[int], *name: object) -> np.ndarray:
  """[shape] float64, uniform in [−√3, √3): mean 0, variance 1."""
  return (2 * uniform(shape, *name) - 1) * math.sqrt(3)


def _generator(name: tuple[object, ...]) -> np.random.Philox:
  digest = hashlib.sha256("/".join(map(str, name)).encode()).digest()
  return np.random.Philox(key=int.from_bytes(digest[:16], "little"))
