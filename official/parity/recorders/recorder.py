"""What recorders of both frameworks share: the phases, and the proof on each run."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from official.cli.errors import UserError
from official.parity.case import Side
from official.parity.keys import TOTAL, Key, tap_name
from official.parity.recorders.determinism import Digest, Proof, prove
from official.parity.recorders.taps import PLAIN, Call, TapLog
from official.parity.recording.container import CODE_OF
from official.parity.recording.header import TapInfo
from official.parity.recording.writer import RecordingWriter

PHASES = ("batch", "init", "eval", "train")
_PASSES = ("eval", "train")
_TAPPED = ("output", "input", "upstream", "term_gradient")  # Only a tapped run has these.

Batch = Mapping[str, np.ndarray]


class Forcing(Protocol):
  """The original's values for the candidate's taps, in the candidate's layout."""

  def output(self, tap: str) -> np.ndarray | None:
    """What the tap is to put out; None leaves its own."""

  def upstream(self, tap: str) -> np.ndarray | None:
    """The gradient that the tap is to hand back; None leaves the one that arrives."""


class Pass:
  """What one pass yields: fingerprints always, and arrays on disk where there is a writer.

  Attributes:
    phase: "eval" or "train".
    log: of the calls, filled where there is a writer.
    digest: of what an untapped run has too.
    tapped: whether taps are wanted.

  Args:
    phase: "eval" or "train".
    writer: takes the arrays; None: they are forgotten.
    tapped: whether taps are wanted.
    check: holds the gradients of the same pass; ours are compared with them.
  """

  def __init__(
    self,
    phase: str,
    writer: RecordingWriter | None,
    tapped: bool = True,
    check: RecordingWriter | None = None,
  ) -> None:
    self.phase = phase
    self.training = phase == "train"
    self.tapped = tapped
    self.log = TapLog()
    self.digest = Digest()
    self._writer = writer
    self._check = check
    self._awaited: dict[str, str] = {}

  def keep(self, section: str, name: str, array: np.ndarray) -> None:
    """Takes one array; it may change afterwards."""
    key = Key(self.phase, section, name)
    if section not in _TAPPED:
      self.digest.add(f"{section} {name}", array)
    if self._check and section == "gradient":
      self.digest.compare(*self._check.read_back(key, array))
    if self._writer and array.dtype in CODE_OF:
      self._writer.write(key, array)
    elif self._writer:
      self._writer.absent(key, f"recordings do not hold {array.dtype}")

  def result(self, name: str, array: np.ndarray) -> None:
    """Takes one of the arrays that `Side.forward` returns."""
    self.digest.add(f"result {name}", array)

  def absent(self, section: str, name: str, reason: str) -> None:
    """Notes that there is no such array, and why."""
    if section not in _TAPPED:
      self.digest[f"{section} {name}"] = reason
    if self._writer:
      self._writer.absent(Key(self.phase, section, name), reason)

  def given(self, call: Call, position: str, array: np.ndarray) -> None:
    """Takes a value that a call was given and that is no tap as it is."""
    self.keep("input", f"{call.name}|{position}", array)

  def unknown(self, call: Call, leaf: str, value: Any) -> None:
    """Notes an output that is neither a tensor nor a plain Python value."""
    if not isinstance(value, PLAIN):
      name = tap_name(call.path, call.number, leaf)
      self.absent("output", name, f"recordings do not hold {type(value).__name__}")

  def expect(self, tap: str, reason: str) -> None:
    """The tap's upstream gradient will be absent for `reason` unless it comes."""
    self._awaited[tap] = reason

  def arrive(self, tap: str, array: np.ndarray) -> None:
    """The tap's upstream gradient has come."""
    self._awaited.pop(tap, None)
    self.keep("upstream", tap, array)

  def close(self, uncalled: Sequence[str]) -> None:
    """Writes what is known at the end: taps, and modules that were not called."""
    if not self._writer:
      return
    for tap, reason in self._awaited.items():
      self._writer.absent(Key(self.phase, "upstream", tap), reason)
    self._writer.taps(self.phase, self.log.taps)
    self._writer.note(f"uncalled_{self.phase}", list(uncalled))


class Recorder(abc.ABC):
  """Records one side.

  Args:
    side: the network and how it is run.
    seed: of random numbers that the network draws, set before each pass.
  """

  framework: str

  def __init__(self, side: Side, seed: int = 0) -> None:
    self.side = side
    self.network: Any = side.network
    self.seed = seed

  @abc.abstractmethod
  def parameters(self) -> dict[str, np.ndarray]:
    """Copies of the trained variables, frozen ones too, by name; shared ones once."""

  @abc.abstractmethod
  def buffers(self) -> dict[str, np.ndarray]:
    """Copies of what else a checkpoint holds (BatchNorm's statistics), by name."""

  @abc.abstractmethod
  def load(self, parameters: Batch, buffers: Batch) -> None:
    """Sets parameters and buffers; raises KeyError where names are not exactly their own."""

  @abc.abstractmethod
  def tensors(self, batch: Batch) -> dict[str, Any]:
    """The batch as the framework's tensors, for `Side.forward`, `Side.losses` and trainers."""

  @abc.abstractmethod
  def _run(self, batch: Batch, current: Pass, forcing: Forcing | None) -> None:
    """One pass; leaves the network as it was."""

  def taps(self, batch: Batch, phase: str = "eval") -> list[TapInfo]:
    """The taps of a phase, without recording anything."""
    current = Pass(phase, None)
    self._run(batch, current, None)
    return current.log.taps

  def record(
    self,
    batch: Batch,
    writer: RecordingWriter,
    phases: Sequence[str] = PHASES,
    forcing: Forcing | None = None,
  ) -> list[Proof]:
    """Records some of `PHASES`; the network is afterwards as it was.

    Args:
      batch: arrays in the side's layout and precision, by name.
      writer: takes arrays as they come; notes "determinism", and "uncalled_eval" and
        "uncalled_train": paths of modules that were not called.
      phases: "batch" and "init" are the inputs and the weights themselves.
      forcing: values that replace the taps' own, which are recorded (the candidate only).

    Returns:
      A proof for each pass; what does not hold is not fit to be compared. None where values were
      forced: the same side is proved without.
    """
    if "batch" in phases:
      _write_all(writer, "batch", "input", batch)
    if "init" in phases:
      _write_all(writer, "init", "parameter", self.parameters())
      _write_all(writer, "init", "buffer", self.buffers())
    passes = [phase for phase in _PASSES if phase in phases]
    if forcing:
      for phase in passes:
        self._run(batch, Pass(phase, writer), forcing)
      return []
    proofs = [self._prove(batch, phase, writer) for phase in passes]
    writer.note("determinism", [proof.sentence for proof in proofs])
    return proofs

  def _prove(self, batch: Batch, phase: str, writer: RecordingWriter) -> Proof:
    def untapped(check: bool) -> Digest:
      return self._digest(batch, Pass(phase, None, tapped=False, check=writer if check else None))

    def tapped() -> Digest:
      return self._digest(batch, Pass(phase, writer))

    return prove(f"{self.framework}, {phase}", untapped, tapped)

  def _digest(self, batch: Batch, current: Pass) -> Digest:
    self._run(batch, current, None)
    return current.digest

  def _total(self, losses: Mapping[str, Any]) -> Any:
    if TOTAL not in losses:
      raise UserError(
        f"the losses of the {self.framework} side ({', '.join(losses)}) have no '{TOTAL}': it is "
        "what is differentiated"
      )
    return losses[TOTAL]


def _write_all(writer: RecordingWriter, phase: str, section: str, arrays: Batch) -> None:
  for name, array in arrays.items():
    writer.write(Key(phase, section, name), array)
