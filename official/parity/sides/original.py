"""The original, recorded: in the run's precision, and the golden values in float64 beside it."""

import dataclasses
import importlib.metadata
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from official.cli.errors import UserError
from official.cli.files import make_directory
from official.parity.case import Arrays, ParityCase
from official.parity.recorders.determinism import Proof
from official.parity.recording import disk
from official.parity.recording.header import Header
from official.parity.recording.reader import Recording
from official.parity.recording.tiers import Tier
from official.parity.sides import images, stage_names, trajectory

if TYPE_CHECKING:
  from official.parity.recorders.torch_recorder import TorchRecorder

Tell = Callable[[str], None]

_DTYPES = {"float64": np.float64, "float32": np.float32, "bfloat16": ml_dtypes.bfloat16}
_LIBRARIES = ("numpy", "torch", "transformers")


def silent(text: str) -> None:
  """Tells nobody."""


@dataclasses.dataclass(frozen=True)
class Original:
  """Recordings of the original.

  Attributes:
    own: in the precision of the run.
    golden: in float64, on the weights and inputs of `own`; `own` itself in float64.
  """

  own: Recording
  golden: Recording

  @classmethod
  def open(cls, path: Path, case: str, precision: str, seed: int) -> "Original":
    """Opens what `record` wrote.

    Raises:
      UserError: it is missing, damaged, or of another case, precision or seed.
    """
    own = Recording(path)
    header = own.header
    for what, found, wanted in (
      ("of the case", header.case, case),
      ("in", header.precision, precision),
      ("of seed", header.seed, seed),
    ):
      if found != wanted:
        raise UserError(f"{path} is a recording {what} {found}, not {wanted}")
    return cls(own, own if precision == "float64" else Recording(golden_path(path)))


def golden_path(path: Path) -> Path:
  """Where the golden values that belong to the recording at `path` are kept."""
  return path.with_name(f"{path.stem}.golden{path.suffix}")


def record(
  case: ParityCase,
  path: Path,
  precision: str = "float64",
  *,
  stages: Sequence[str] | None = None,
  steps: int = 3,
  seed: int = 0,
  tier: Tier = Tier.FULL,
  tell: Tell = silent,
) -> None:
  """Records the original of `case` for runs without it (`session.run(recording=path)`).

  Below float64 two files are written: `path`, the original in `precision`, and `golden_path(path)`,
  the original in float64 on the same rounded weights and inputs.

  Args:
    case: what is to be recorded.
    path: of the file to make; its directory is made where it is missing.
    precision: one of `case.PRECISIONS`.
    stages: what the recording is for, of `case.STAGES`; None: all that is possible.
    steps: training steps.
    seed: of weights and batches.
    tier: how much is kept of activations and gradients.
    tell: is told what begins.

  Raises:
    UserError: the case has no original to run, it is not deterministic, or the system refuses to
      write.
  """
  stage_names.check_precision(precision)
  make_directory(path.parent)
  recording = _Recording(case, stages, steps, seed, tier)
  tell(f"recording the original in {precision}")
  recording.make(precision, path)
  if precision != "float64":
    tell("recording the original in float64")
    recording.make("float64", golden_path(path), lead=Recording(path))


def torch_recorder(case: ParityCase, precision: str, seed: int) -> "TorchRecorder":
  """A recorder of the original of `case`; this is where torch is imported.

  Raises:
    UserError: the case has no original to run, or torch is not installed.
  """
  if case.reference is None:
    raise UserError(f"{case.name}: the original cannot be run here; give a recording of it")
  try:
    from official.parity.recorders.torch_recorder import TorchRecorder

    return TorchRecorder(case.reference(precision, seed), seed)
  except ModuleNotFoundError as error:
    raise UserError(
      f"{case.name}: the original needs {error.name}: pip install '.[parity]', or give a recording"
    ) from error


def cast(arrays: Arrays, precision: str) -> dict[str, np.ndarray]:
  """`arrays` with floating values in `precision`."""
  return {name: _cast(np.asarray(array), precision) for name, array in arrays.items()}


def batches(case: ParityCase, seed: int, steps: int, precision: str) -> list[dict[str, np.ndarray]]:
  """Batches in the original's layout, one for each training step; passes have the first."""
  return [cast(case.batch(seed + step), precision) for step in range(max(steps, 1))]


def demand_proofs(proofs: Iterable[Proof], what: str) -> None:
  """Raises UserError where a side is not deterministic, or taps change it."""
  for proof in proofs:
    if not proof.holds:
      raise UserError(f"{what} cannot be compared: {proof.sentence}")


def versions(libraries: Iterable[str]) -> dict[str, str]:
  """The installed versions of some libraries."""
  found = {}
  for name in libraries:
    try:
      found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      continue
  return found


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
  """Settings as JSON keeps them: tuples as lists, what it does not know as text."""
  return json.loads(json.dumps(dict(settings), default=_plain))


def _plain(value: Any) -> Any:
  return value.item() if isinstance(value, np.generic) else str(value)


def _cast(array: np.ndarray, precision: str) -> np.ndarray:
  floating = array.dtype.kind == "f" or array.dtype == ml_dtypes.bfloat16
  return array.astype(_DTYPES[precision]) if floating else array


@dataclasses.dataclass(frozen=True)
class _Recording:
  """What is recorded of an original, whatever the precision; fields as `record`'s."""

  case: ParityCase
  stages: Sequence[str] | None
  steps: int
  seed: int
  tier: Tier

  def make(self, precision: str, path: Path, lead: Recording | None = None) -> None:
    """Records the original; in float64 along `lead`, its recording in a low precision, if any."""
    recorder = torch_recorder(self.case, precision, self.seed)
    from official.parity.recorders.torch_recorder import to_numpy

    side = recorder.side
    stages = stage_names.chosen(self.stages, stage_names.possible(side), "the original")
    phases, steps = stage_names.phases(stages), stage_names.steps(stages, self.steps)
    inputs = batches(self.case, self.seed, steps, lead.header.precision if lead else precision)
    inputs = [cast(batch, precision) for batch in inputs]
    if lead:
      recorder.load(*(cast(lead.section("init", s), precision) for s in ("parameter", "buffer")))
    if self.tier == Tier.FULL:
      needed = disk.estimate(recorder.taps(inputs[0]), recorder.parameters(), phases, steps)
      disk.require(path.parent, needed, "a recording of the original")
    header = Header(
      "reference", recorder.framework, versions(_LIBRARIES), precision, self.seed, self.case.name
    )
    with images.OutputKeeper(path, header, self.tier) as writer:
      writer.note("settings", plain(side.settings))
      writer.note("possible", list(stage_names.possible(side)))
      writer.note("stages", list(stages))
      demand_proofs(recorder.record(inputs[0], writer, phases), "the original")
      if "preprocess" in stages:
        images.record_preprocess(writer, side, images.raw_image(self.seed))
      if "postprocess" in stages:
        images.record_postprocess(writer, side, writer.outputs)
      if steps:
        whole = lead and self.tier == Tier.FULL  # Of figures alone, no step can start.
        before = _states(lead, precision) if whole else None
        trajectory.record_steps(writer, side.trainer(), inputs, recorder.tensors, to_numpy, before)


def _states(lead: Recording, precision: str) -> Callable[[int], trajectory.State]:
  """The states that each step of `lead` started from, in `precision`."""

  def before(step: int) -> trajectory.State:
    state = trajectory.read_state(lead, step - 1)
    return {key: _cast(array, precision) for key, array in state.items()}

  return before
