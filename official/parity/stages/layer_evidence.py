"""What a diagnosis is told about one layer: its call on the original's values, and the original's.

Everything is in the candidate's layout, and comes from the recordings and one more pass.
"""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from official.parity.comparing.matches import Match, owner
from official.parity.comparing.pairing import Pair
from official.parity.diagnosis.evidence import LayerEvidence, Neighbour, StatisticsEvidence
from official.parity.keys import ROOT, Key, tap_name
from official.parity.recorders.keras_capture import LayerCall
from official.parity.recorders.keras_names import parameter_names
from official.parity.recorders.structures import leaves
from official.parity.recording.header import TapInfo
from official.parity.result import Blame
from official.parity.sides.forcing import OriginalValues
from official.parity.stages.comparison import Comparison

_NEIGHBOURS = 12
_STATISTICS = {"mean": "mean", "var": "variance"}


class LayerEvidenceOf:
  """Gathers evidence on layers in one phase.

  Args:
    comparison: of the run, with whole arrays of the original.
    phase: "eval" or "train".
  """

  def __init__(self, comparison: Comparison, phase: str) -> None:
    self._comparison, self._phase = comparison, phase
    self._golden = comparison.original.golden
    self._taps = comparison.matcher.taps(phase)
    self._pairs = comparison.correspondence.by_candidate.get(phase, {})

  def forward(self, blame: Blame) -> LayerEvidence:
    """On a layer whose outputs differ."""
    tap = self._blamed(blame)
    call = self._call(tap)
    return LayerEvidence(
      layer=call.layer,
      path=blame.layer,
      args=call.args,
      kwargs=call.kwargs,
      outputs=self._of_leaves(tap, "output"),
      training=call.training,
      limit=blame.finding.limit,
      parameters=self._parameters(tap),
      variables=self._variables(),
      neighbours=tuple(self._neighbours(tap)),
    )

  def _blamed(self, blame: Blame) -> TapInfo:
    """The tap that differs, or one of the call around it that is to blame."""
    tap, calls = self._taps[blame.finding.name], {}
    for other in self._taps.values():
      calls.setdefault(tap_name(other.path, other.call), other)
    while (tap.path or ROOT) != blame.layer and tap.parent in calls:
      tap = calls[tap.parent]
    return tap

  def backward(self, blame: Blame) -> LayerEvidence | None:
    """On a layer that hands back other gradients; None where it has no call of its own."""
    path = "" if blame.layer == ROOT else blame.layer
    tap = next((t for t in self._taps.values() if t.path == path and t.name in self._pairs), None)
    if tap is None:
      return None
    call = self._call(tap)
    return LayerEvidence(
      layer=call.layer,
      path=blame.layer,
      args=call.args,
      kwargs=call.kwargs,
      outputs=self._of_leaves(tap, "output"),
      training=call.training,
      limit=blame.finding.limit,
      parameters=self._parameters(tap),
      upstream=self._of_leaves(tap, "upstream"),
      input_gradients=self._input_gradients(tap, call),
      parameter_gradients=self._parameter_gradients(path),
    )

  def statistics(self, blame: Blame) -> StatisticsEvidence | None:
    """On a normalization whose statistics move otherwise; None where it has not those two."""
    tap = next((t for t in self._taps.values() if t.path == blame.layer), None)
    if tap is None:
      return None
    call = self._call(tap)
    inputs = next(leaf for _, leaf in leaves((call.args, call.kwargs)) if tf.is_tensor(leaf))
    return StatisticsEvidence(
      path=blame.layer,
      inputs=inputs.numpy(),
      old=self._statistics(blame.layer, lambda m: m.candidate(self._comparison.free), "init"),
      reference=self._statistics(blame.layer, lambda m: m.original(self._golden, ())),
      candidate=self._statistics(blame.layer, lambda m: m.candidate(self._comparison.runs.forced)),
      limit=blame.finding.limit,
    )

  def values(self) -> OriginalValues:
    """The original's values for the candidate's taps."""
    comparison = self._comparison
    return OriginalValues(comparison.correspondence, self._golden, comparison.free, self._phase)

  def _call(self, tap: TapInfo) -> LayerCall:
    candidate = self._comparison.candidate
    name = tap_name(tap.path, tap.call)
    return candidate.recorder.capture(candidate.inputs(), self._phase, name, self.values())

  def _of_leaves(self, tap: TapInfo, section: str) -> dict[str, np.ndarray]:
    """The original's arrays of all leaves of one call."""
    call = (tap.path, tap.call)
    found = {}
    for other in self._taps.values():
      if (other.path, other.call) == call and other.name in self._pairs:
        array = self._original(section, other)
        if array is not None:
          found[other.leaf] = array
    return found

  def _original(self, section: str, tap: TapInfo) -> np.ndarray | None:
    pair = self._pairs.get(tap.name)
    key = Key(self._phase, section, pair.reference) if pair else None
    if key is None or key not in self._golden:
      return None
    return self._comparison.correspondence.tap(self._golden.read(key), pair, tap.shape)

  def _parameters(self, tap: TapInfo) -> dict[str, np.ndarray]:
    """Of the original's paired module, named from there on."""
    pair = self._pairs.get(tap.name)
    infos = {info.name: info for info in self._golden.taps(self._phase)}
    path = infos[pair.reference].path if pair else None
    if path is None:
      return {}
    start = f"{path}." if path else ""
    arrays = self._golden.section("init", "parameter") | self._golden.section("init", "buffer")
    return {n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)}

  def _variables(self) -> dict[str, np.ndarray]:
    """All of the candidate's, which are the original's values under the names that it has."""
    network = self._comparison.candidate.side.network
    return {name: variable.numpy() for name, variable in parameter_names(network).items()}

  def _neighbours(self, tap: TapInfo) -> Iterator[Neighbour]:
    """The original's other activations, nearest first; whatever layout theirs may be."""
    infos = self._golden.taps(self._phase)
    ours = {pair.reference: pair for pair in self._pairs.values()}
    here = next(i.order for i in infos if i.name == self._pairs[tap.name].reference)
    others = sorted((i for i in infos if i.order != here), key=lambda i: abs(i.order - here))
    for info in others[:_NEIGHBOURS]:
      pair = ours.get(info.name)
      yield Neighbour(
        name=info.name,
        layer=info.layer,
        candidate=pair.candidate if pair else "",
        read=lambda info=info, pair=pair: self._read(info, pair),
      )

  def _read(self, info: TapInfo, pair: Pair | None) -> np.ndarray:
    array = self._golden.read(Key(self._phase, "output", info.name))
    if pair is None:
      return self._comparison.correspondence.by_rank(array)
    return self._comparison.correspondence.tap(array, pair, self._taps[pair.candidate].shape)

  def _input_gradients(self, tap: TapInfo, call: LayerCall) -> dict[str, np.ndarray]:
    """Of inputs that are taps as they are, where every input is one: positions are known then."""
    tensors = [leaf for _, leaf in leaves((call.args, call.kwargs)) if tf.is_tensor(leaf)]
    if len(tensors) != len(tap.inputs):
      return {}
    found = {}
    for position, name in enumerate(tap.inputs):
      array = self._original("upstream", self._taps[name])
      readers = [t for t in self._taps.values() if name in t.inputs and t.path != tap.path]
      if array is not None and not readers:
        found[str(position)] = array
    return found

  def _parameter_gradients(self, path: str) -> dict[str, np.ndarray]:
    """The original's gradients of the layer's own variables, by `Variable.name`."""
    comparison, found = self._comparison, {}
    variables = parameter_names(comparison.candidate.side.network)
    for match in comparison.matcher.of_parameters("gradients", "train", "gradient"):
      if owner(match.name) == path or match.name.startswith(f"{path}/"):
        array = match.original(self._golden, ())
        if array is not None:
          found[variables[match.name].name] = array
    return found

  def _statistics(
    self, layer: str, read: Callable[[Match], np.ndarray | None], phase: str = "train"
  ) -> dict[str, np.ndarray]:
    found = {}
    for match in self._comparison.matcher.of_parameters("forward", phase, "buffer"):
      if owner(match.name) == layer:
        last = match.name.rpartition("/")[2]
        kind = next((kind for part, kind in _STATISTICS.items() if part in last), last)
        found[kind] = read(match)
    return found
