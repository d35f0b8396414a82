"""Figures out of the reports that commands write, and whether they say that all is well.

A command's exit code is not believed alone: tests that were all skipped leave 0, and so does a
training that reached nothing.
"""

import dataclasses
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Figures:
  """Of a report.

  Attributes:
    values: numbers, by name.
    wrong: what the report says is wrong; empty where nothing is.
    kept: the report as evidence keeps it: a name's end, and bytes.
  """

  values: Mapping[str, float]
  wrong: str
  kept: tuple[str, bytes]


def read(name: str, data: bytes) -> Figures:
  """The figures of the report `data`, which was written as `name`; never raises for its content."""
  try:
    return _tests(data) if name.endswith(".xml") else _values(data)
  except (LookupError, TypeError, ValueError, RecursionError, ElementTree.ParseError):
    return Figures({}, f"its report {name} cannot be read", ("unreadable", data))


def below(values: Mapping[str, float], bounds: Mapping[str, float]) -> str:
  """The first figure that is missing or does not reach its bound, in words; empty where none."""
  for name, bound in bounds.items():
    value = values.get(name)
    if value is None or not value >= bound:
      return f"{name} is {'missing' if value is None else f'{value:.4g}'}, not at least {bound:g}"
  return ""


def _tests(data: bytes) -> Figures:
  """Of pytest's --junitxml; what it says of machine and time is not kept."""
  cases = ElementTree.fromstring(data).iter("testcase")
  found = {f"{case.get('classname')}::{case.get('name')}": _outcome(case) for case in cases}
  counts = {kind: sum(of == kind for of in found.values()) for kind in ("passed", "skipped")}
  counts["failed"] = len(found) - sum(counts.values())
  wrong = "no test ran" if not counts["passed"] else ""
  if counts["failed"]:
    wrong = f"failed: {next(name for name, of in found.items() if of == 'failed')}"
  kept = json.dumps(found, indent=0, sort_keys=True) + "\n"
  return Figures(counts, wrong, ("tests.json", kept.encode()))


def _outcome(case: ElementTree.Element) -> str:
  kinds = {child.tag for child in case}
  if kinds & {"failure", "error"}:
    return "failed"
  return "skipped" if "skipped" in kinds else "passed"


def _values(data: bytes) -> Figures:
  """Of our own reports (parity, TPU), and of other JSON its numbers."""
  report = json.loads(data)
  if not isinstance(report, dict):
    raise ValueError("it is no object")
  values, wrong = dict(_numbers(report.get("metrics", report))), ""
  if "same" in report:
    values = {"pairs": sum(len(stage["findings"]) for stage in report["stages"])}
    wrong = "" if report["same"] is True else "not the same"
  if "checks" in report:
    values = {"topologies": len(report["checks"])}
    wrong = next((f"{c['topology']}: no fit" for c in report["checks"] if not c["fits"]), "")
  return Figures(values, wrong, ("report.json", data))


def _numbers(values: Mapping[str, Any]) -> Mapping[str, float]:
  return {
    name: value
    for name, value in values.items()
    if isinstance(value, (int, float)) and not isinstance(value, bool)
  }
