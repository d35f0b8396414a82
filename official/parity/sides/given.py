"""Whether a layer was given what its counterpart was: if not, its caller is at fault, not it.

A caller adds, reshapes, scales and pads between the layers that it calls, and no tap sees it. What
a call is given is recorded on both sides: taps by name, anything else by value.
"""

import collections
import contextlib
from collections.abc import Iterator

import numpy as np

from official.parity.comparing import layouts, verdict
from official.parity.comparing.correspondence import Correspondence
from official.parity.comparing.layouts import LayoutError
from official.parity.keys import Key, tap_name
from official.parity.recording.header import TapInfo
from official.parity.recording.reader import Recording
from official.parity.sides.original import Original


class Given:
  """Compares what calls are given, in one phase of a forced pass.

  Args:
    correspondence: of names and layouts.
    original: recordings of the original.
    forced: the candidate's, fed with the original's values.
    phase: "eval" or "train".
  """

  def __init__(
    self, correspondence: Correspondence, original: Original, forced: Recording, phase: str
  ) -> None:
    self._correspondence = correspondence
    self._pairs = correspondence.by_candidate.get(phase, {})
    self._layouts = {pair.reference: pair.layout for pair in self._pairs.values()}
    self._original, self._forced, self._phase = original, forced, phase
    self._theirs = {tap.name: tap for tap in original.golden.taps(phase)}
    self._our_values = _by_call(forced, phase)
    self._their_values = _by_call(original.golden, phase)

  def alike(self, tap: TapInfo) -> bool:
    """Whether the call that put out `tap` was given nothing but what its counterpart was given.

    True also where nothing can be said: the tap has no pair, or nothing that its counterpart was
    given has the shape of what the call was given.
    """
    if tap.name not in self._pairs:
      return True
    return all(self._is_theirs(ours, tap) for ours in self._given(tap))

  def _is_theirs(self, ours: np.ndarray, tap: TapInfo) -> bool:
    precision = self._original.own.header.precision
    verdicts = [
      verdict.compare(ours, own, golden=golden, precision=precision)
      for golden, own in self._comparable(ours, tap)
    ]
    return not verdicts or any(found.status.passes for found in verdicts)

  def _given(self, tap: TapInfo) -> Iterator[np.ndarray]:
    """What the candidate's call was given; floats alone: a mask may be told otherwise."""
    keys = self._our_values[tap_name(tap.path, tap.call)]
    arrays = [self._handed_on(name) for name in tap.inputs]
    yield from filter(verdict.is_float, arrays + [self._forced.read(key) for key in keys])

  def _handed_on(self, tap: str) -> np.ndarray:
    """What a forced tap hands on: the original's value, where it has one of its shape."""
    own = self._forced.read(Key(self._phase, "output", tap))
    pair = self._pairs.get(tap)
    key = Key(self._phase, "output", pair.reference) if pair else None
    if key is None or key not in self._original.golden:
      return own
    try:
      array = self._correspondence.tap(self._original.golden.read(key), pair, own.shape)
    except LayoutError:
      return own
    return array if array.shape == own.shape else own

  def _comparable(self, ours: np.ndarray, tap: TapInfo) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Golden and own values that the original's call was given, laid out as `ours`, in each of the
    ways that the case declares: for the call, for the tap that it is, and for its rank."""
    pair = self._pairs[tap.name]
    theirs = self._theirs[pair.reference]
    keys = [Key(self._phase, "output", name) for name in theirs.inputs]
    keys += self._their_values[tap_name(theirs.path, theirs.call)]
    for key in keys:
      golden, own = self._original.golden.read(key), self._original.own.read(key)
      if not verdict.is_float(golden):
        continue
      rank = self._correspondence.rank_layout(golden.ndim)
      for layout in dict.fromkeys((pair.layout, self._layouts.get(key.name, ""), rank)):
        with contextlib.suppress(LayoutError):
          converted = [layouts.convert(array, layout, ours.shape) for array in (golden, own)]
          if converted[0].shape == ours.shape:
            yield converted[0], converted[1]


def _by_call(recording: Recording, phase: str) -> dict[str, list[Key]]:
  """Call → keys of what it was given that is no tap."""
  found: dict[str, list[Key]] = collections.defaultdict(list)
  for name in recording.names(phase, "input"):
    found[name.rpartition("|")[0]].append(Key(phase, "input", name))
  return found
