"""Which module is which layer: one table from which weight rules and tap rules follow."""

import dataclasses
from collections.abc import Iterable, Mapping

from official.checkpoints.rules import Ignore, Rule
from official.parity.case import Excuse, TapRule
from official.parity.keys import ROOT


def _stacked(prefix: str) -> tuple[tuple[str, str, str], ...]:
  """Projections of queries, keys and values that are one matrix and one bias there."""
  return tuple(
    (f"{prefix}{own}", f"{name}/{ours}", f"qkv:{index}/3{transform}")
    for index, name in enumerate(("query", "key", "value"))
    for own, ours, transform in (("weight", "kernel", "|linear"), ("bias", "bias", ""))
  )


_VARIABLES = {
  "conv": (("weight", "kernel", "conv"), ("bias", "bias", "")),
  "conv_no_bias": (("weight", "kernel", "conv"),),
  "linear": (("weight", "kernel", "linear"), ("bias", "bias", "")),
  "linear_no_bias": (("weight", "kernel", "linear"),),
  "norm": (("weight", "gamma", ""), ("bias", "beta", "")),
  "batch_norm": (
    ("weight", "gamma", ""),
    ("bias", "beta", ""),
    ("running_mean", "moving_mean", ""),
    ("running_var", "moving_variance", ""),
  ),
  "frozen_norm": (
    ("weight", "gamma", ""),
    ("bias", "beta", ""),
    ("running_mean", "moving_mean", ""),
    ("running_var", "moving_variance", ""),
  ),
  "attention": (  # PyTorch's own.
    *_stacked("in_proj_"),
    ("out_proj.weight", "output/kernel", "linear"),
    ("out_proj.bias", "output/bias", ""),
  ),
  "stacked": _stacked(""),  # Swin's are one, too.
  "relative_bias": (("relative_position_bias_table", "relative_bias", ""),),
  "query_positions": (("weight", "query_positions", ""),),
}


@dataclasses.dataclass(frozen=True)
class Same:
  """A module of the original and a layer of ours that do the same.

  Attributes:
    reference: the module's path, a pattern; empty: the network itself; with ":0" the output that
      is meant.
    candidate: the layer's path; empty: the network itself.
    kind: a key of the table of variables; empty: it has none of its own.
    layout: of its output, see `TapRule.layout`.
    output: whether its output is one of ours too; otherwise the row tells of variables alone.
  """

  reference: str
  candidate: str
  kind: str = ""
  layout: str = ""
  output: bool = True


def weights(table: Iterable[Same]) -> tuple[Rule | Ignore, ...]:
  """Rules for the variables of every row."""
  rules: list[Rule | Ignore] = []
  for row in table:
    for source, target, transform in _VARIABLES.get(row.kind, ()):
      names = _join(row.reference, source, "."), _join(row.candidate, target, "/")
      rules.append(Rule(*names, transform))
    if row.kind == "batch_norm":
      name = _join(row.reference, "num_batches_tracked", ".")
      rules.append(Ignore(name, "only counts batches; the momentum here is a constant"))
  return tuple(rules)


def taps(table: Iterable[Same]) -> tuple[TapRule, ...]:
  """Rules for the outputs of rows that have one."""
  return tuple(
    TapRule(_tap(row.reference), _tap(row.candidate), row.layout) for row in table if row.output
  )


def under(reference: str, candidate: str, table: Iterable[Same]) -> tuple[Same, ...]:
  """The rows of `table`, as part of a larger network."""
  return tuple(
    dataclasses.replace(
      row,
      reference=_join(reference, row.reference, "."),
      candidate=_join(candidate, row.candidate, "/"),
    )
    for row in table
  )


def _join(prefix: str, name: str, separator: str) -> str:
  if not prefix or not name or name.startswith(":"):
    return prefix + name
  return prefix + separator + name


def excuses(prefix: str, table: Mapping[str, str]) -> tuple[Excuse, ...]:
  """Why outputs of the original's modules under `prefix` have no pair: pattern → reason."""
  return tuple(
    Excuse(f"output/{_join(prefix, name, '.')}", reason) for name, reason in table.items()
  )


def _tap(name: str) -> str:
  return ROOT + name if not name or name.startswith(":") else name
