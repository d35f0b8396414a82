"""The original's values for the candidate's taps: what `recorder.Forcing` asks for."""

from collections.abc import Collection

import numpy as np

from official.parity.comparing.correspondence import Correspondence
from official.parity.comparing.layouts import LayoutError
from official.parity.keys import Key
from official.parity.recording.reader import Recording


class OriginalValues:
  """Answers with what the original recorded in one phase.

  Args:
    correspondence: pairs of taps.
    golden: the original's recording.
    candidate: a recording of the candidate, for the shapes of its taps.
    phase: "eval" or "train".
    jitter: None, or moves every value by a few roundings.
    only: taps that are given values; None: all.
  """

  def __init__(
    self,
    correspondence: Correspondence,
    golden: Recording,
    candidate: Recording,
    phase: str,
    jitter: "Jitter | None" = None,
    only: Collection[str] | None = None,
  ) -> None:
    self._correspondence = correspondence
    self._golden = golden
    self._shapes = {tap.name: tap.shape for tap in candidate.taps(phase)}
    pairs = correspondence.by_candidate.get(phase, {})
    self._pairs = {tap: p for tap, p in pairs.items() if only is None or tap in only}
    self._phase = phase
    self._jitter = jitter

  def output(self, tap: str) -> np.ndarray | None:
    """The original's output at the tap; None where it has none, or none of that shape."""
    return self._value("output", tap)

  def upstream(self, tap: str) -> np.ndarray | None:
    """The gradient that arrives at the original's tap."""
    return self._value("upstream", tap)

  def _value(self, section: str, tap: str) -> np.ndarray | None:
    pair = self._pairs.get(tap)
    key = Key(self._phase, section, pair.reference) if pair else None
    if key is None or key not in self._golden:
      return None
    try:
      array = self._correspondence.tap(self._golden.read(key), pair, self._shapes[tap])
    except LayoutError:
      return None  # Reported where the taps are compared.
    return self._jitter(array) if self._jitter else array


class Jitter:
  """Moves floating values by a few roundings: what noise makes of a program.

  Args:
    epsilon: relative distance of neighbouring numbers.
    seed: which way each value is moved; 1: all upwards, the worst that rounding makes of a sum of
      values that cancel.
  """

  ROUNDINGS = 4.0
  SUM = 16.0  # A long sum rounds so often to one side; it is kept in float32 at least.

  def __init__(self, epsilon: float, seed: int) -> None:
    self._random = np.random.default_rng(seed) if seed != 1 else None
    self._step = self.ROUNDINGS * epsilon / 2
    if self._random is None:
      self._step = max(self._step, self.SUM * min(epsilon, 2.0**-23) / 2)

  def __call__(self, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "fV":
      return array
    wide = array.astype(np.float64)
    return (wide + self._step * self._signs(wide) * wide).astype(array.dtype)

  def _signs(self, values: np.ndarray) -> np.ndarray:
    if self._random is None:
      return np.sign(values)
    return self._random.integers(0, 2, values.shape) * 2 - 1
