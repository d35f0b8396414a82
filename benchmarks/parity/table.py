"""What the benchmark prints, and the table that it publishes."""

import collections
import dataclasses
from collections.abc import Iterable, Sequence

from benchmarks.parity.judge import Clean, Judgement

_INTRODUCTION = """\
# The checker, checked

Mistakes that people make when they port a model, planted one at a time in candidates that are the
same as their originals without them. The originals are modules of transformers with random
weights, and PyTorch's optimizers; the YOLO networks' is the PyTorch Darknet of this project.
`make bench-parity` runs all of it again and writes this page.

*Caught*: the stage where the mistake must show found it. *Layer*: what was blamed first is the
layer, loss term, variable or stage whose code is wrong, by its exact path. *Cause*: the diagnosis
put the right one of its {causes} causes first.
"""


@dataclasses.dataclass(frozen=True)
class Totals:
  """Shares of the planted defects, and false alarms among the clean runs.

  Attributes:
    defects: how many were planted.
    mistakes: how many different ones.
    caught: how many of `defects` were.
    located: of which the exact layer was named.
    explained: of which the right cause came first.
    clean: how many clean runs there were.
    alarms: in how many of them something was found.
  """

  defects: int
  mistakes: int
  caught: int
  located: int
  explained: int
  clean: int
  alarms: int

  @classmethod
  def of(cls, judgements: Sequence[Judgement], clean: Sequence[Clean]) -> "Totals":
    return cls(
      defects=len(judgements),
      mistakes=len({j.name for j in judgements}),
      caught=sum(j.caught for j in judgements),
      located=sum(j.located for j in judgements),
      explained=sum(j.explained for j in judgements),
      clean=len(clean),
      alarms=sum(bool(run.alarm) for run in clean),
    )

  @property
  def passes(self) -> bool:
    """Whether the bars hold: all caught, 95 % located, 80 % explained, no false alarm."""
    return (
      self.caught == self.defects
      and self.located >= 0.95 * self.defects
      and self.explained >= 0.80 * self.defects
      and self.alarms == 0
    )

  def rows(self) -> list[tuple[str, str, str]]:
    """(what, measured, bar)."""
    share = lambda count: f"{count} of {self.defects} ({count / max(self.defects, 1):.1%})"  # noqa: E731
    return [
      ("caught, at the right stage", share(self.caught), "100 %"),
      ("exact layer named first", share(self.located), "≥ 95 %"),
      ("right cause in first place", share(self.explained), "≥ 80 %"),
      ("false alarms", f"{self.alarms} in {self.clean} clean runs", "0"),
    ]


def page(judgements: Sequence[Judgement], clean: Sequence[Clean], causes: int) -> str:
  """The published page, Markdown."""
  totals = Totals.of(judgements, clean)
  lines = [_INTRODUCTION.format(causes=causes)]
  lines += _markdown(["", "measured", "bar"], totals.rows())
  lines += [f"\n{totals.defects} planted defects, {totals.mistakes} different mistakes.\n"]
  lines += ["## By cause\n"]
  header = ["cause", "planted", "caught", "layer named", "cause named first"]
  lines += _markdown(header, _causes(judgements))
  lines += ["\n## Planted defects\n"]
  header = ["mistake", "case", "layer", "stage", "caught", "layer named", "cause named first"]
  lines += _markdown(header, map(row, judgements))
  lines += ["\n## Clean runs\n"]
  lines += _markdown(["case", "precision", "runs", "false alarms"], _clean(clean))
  return "\n".join(lines) + "\n"


def row(judgement: Judgement) -> tuple[str, ...]:
  """A defect's row: ticks where right, else what was said."""
  cause = judgement.causes[0] if judgement.causes else "none"
  return (
    judgement.name,
    judgement.case,
    f"`{judgement.layer}`",
    judgement.stage,
    "✓" if judgement.caught else f"✗ {judgement.caught_at or 'not at all'}",
    "✓" if judgement.located else f"✗ `{judgement.blamed or '—'}`",
    f"✓ {judgement.cause}" if judgement.explained else f"✗ {cause}, is {judgement.cause}",
  )


def _causes(judgements: Iterable[Judgement]) -> list[tuple[str, ...]]:
  grouped: dict[str, list[Judgement]] = collections.defaultdict(list)
  for judgement in judgements:
    grouped[judgement.cause].append(judgement)
  return [
    (
      cause,
      str(len(group)),
      str(sum(j.caught for j in group)),
      str(sum(j.located for j in group)),
      str(sum(j.explained for j in group)),
    )
    for cause, group in sorted(grouped.items())
  ]


def _clean(runs: Iterable[Clean]) -> list[tuple[str, ...]]:
  grouped: dict[tuple[str, str], list[Clean]] = collections.defaultdict(list)
  for run in runs:
    grouped[run.case, run.precision].append(run)
  return [
    (case, precision, str(len(group)), "; ".join(r.alarm for r in group if r.alarm) or "0")
    for (case, precision), group in grouped.items()
  ]


def _markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
  return [
    f"| {' | '.join(header)} |",
    f"|{'---|' * len(header)}",
    *(f"| {' | '.join(row)} |" for row in rows),
  ]
