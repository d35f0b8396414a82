"""Checks as report.json, for other programs.

One object: "format" and "version" say what it is, "experiment" what was checked; "environment" has
the versions; "checks" has an object for each topology, with the fields of `Check`, `Budget`,
`Memory`, `Cost` and `Finding` under their names, and what they derive: "fits", "total",
"headroom", "bound_seconds" and the like. Fields may be added under the same version.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from official.cli.files import write_file
from official.tpu.budget import Budget
from official.tpu.check import Check
from official.tpu.report import digest

FORMAT = "transplant tpu report"
VERSION = 1

_DERIVED = (
  "bound_seconds",
  "serial_seconds",
  "bound_mfu",
  "intensity",
  "product_share",
  "fill",
)


def write_json(
  name: str, checks: Sequence[Check], environment: Mapping[str, Any], path: Path
) -> None:
  """Writes the checks of the experiment `name`, atomically.

  Raises:
    UserError: when the system refuses to write.
  """
  report = {
    "format": FORMAT,
    "version": VERSION,
    "experiment": name,
    "environment": dict(environment),
    "checks": [encode(check) for check in checks],
  }
  write_file(path, f"{json.dumps(report, indent=1, allow_nan=False)}\n".encode())


def encode(check: Check) -> dict[str, Any]:
  """A check as JSON's own types."""
  budget = check.budget
  return {
    "topology": check.topology.name,
    "chip": dataclasses.asdict(check.topology.chip),
    "replicas": check.topology.replicas,
    "kind": check.kind,
    "batch": check.batch,
    "precision": check.precision,
    "fits": check.fits,
    "compiled": budget is not None,
    "cached": check.cached,
    "compiler_seconds": check.compiler_seconds,
    "compiler_bytes": check.compiler_bytes,
    "phases": check.phases,
    "findings": [dataclasses.asdict(finding) for finding in check.findings],
    "budget": _budget(check, budget) if budget else None,
  }


def _budget(check: Check, budget: Budget) -> dict[str, Any]:
  fields = dataclasses.asdict(dataclasses.replace(budget, costs=()))
  memory = {"total": budget.memory.total, "headroom": budget.memory.headroom}
  fields["memory"] |= memory
  fields |= {name: getattr(budget, name) for name in _DERIVED}
  fields["bottleneck"] = digest.bottleneck(budget)
  fields["costs"] = [_cost(check, cost) for cost in budget.costs if cost.cycles or cost.seconds]
  return fields


def _cost(check: Check, cost: Any) -> dict[str, Any]:
  origin = check.origins.get(cost.op_name)
  return dataclasses.asdict(cost) | {"origin": dataclasses.asdict(origin) if origin else None}
