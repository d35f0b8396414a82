"""Which stages a run has, and what must be recorded for them."""

from collections.abc import Collection, Sequence

from official.cli.errors import UserError, nearest
from official.parity.case import PRECISIONS, STAGES, Side

STRUCTURE = "structure"  # Always runs: without it, nothing else knows what to compare.
_NEEDS = {
  "loss": "losses",
  "gradients": "losses",
  "optimizer": "trainer",
  "trajectory": "trainer",
  "preprocess": "preprocess",
  "postprocess": "postprocess",
}
_PASSES = {
  "forward": ("eval", "train"),
  "loss": ("train",),
  "gradients": ("train",),
  "postprocess": ("eval",),
}


def checked(stages: Sequence[str] | None) -> tuple[str, ...] | None:
  """`stages` in the order of `case.STAGES`; raises UserError where one is unknown."""
  if stages is None:
    return None
  for name in stages:
    if name not in STAGES:
      raise UserError(f"no stage '{name}'{nearest(name, STAGES)} (they are {', '.join(STAGES)})")
  return tuple(name for name in STAGES if name in {*stages, STRUCTURE})


def check_precision(precision: str) -> None:
  """Raises UserError where `precision` is none of `case.PRECISIONS`."""
  if precision not in PRECISIONS:
    hint, known = nearest(precision, PRECISIONS), ", ".join(PRECISIONS)
    raise UserError(f"no precision '{precision}'{hint} (they are {known})")


def possible(side: Side) -> tuple[str, ...]:
  """What can be compared of a side by what it has."""
  return tuple(name for name in STAGES if lacks(name, side) is None)


def lacks(stage: str, side: Side) -> str | None:
  """What `side` would need for `stage` and does not have."""
  need = _NEEDS.get(stage)
  return need if need and getattr(side, need) is None else None


def chosen(stages: Sequence[str] | None, available: Collection[str], what: str) -> tuple[str, ...]:
  """The stages of a run.

  Args:
    stages: those asked for; None: all that are available.
    available: those that are possible.
    what: which side or recording offers them, for the error.

  Raises:
    UserError: one is unknown, or asked for and not available.
  """
  wanted = checked(stages)
  if wanted is None:
    return tuple(name for name in STAGES if name in available)
  for name in wanted:
    if name not in available:
      raise UserError(f"stage '{name}': {what} has no {_NEEDS.get(name, name)}")
  return wanted


def phases(stages: Collection[str]) -> tuple[str, ...]:
  """What a recorder must record for `stages`, see `recorder.PHASES`."""
  passes = {phase for stage in stages for phase in _PASSES.get(stage, ())} or {"eval"}
  return ("batch", "init", *(phase for phase in ("eval", "train") if phase in passes))


def steps(stages: Collection[str], count: int) -> int:
  """How many training steps `stages` take, where the trajectory has `count`."""
  return count if "trajectory" in stages else int("optimizer" in stages)
