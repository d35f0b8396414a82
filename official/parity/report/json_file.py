"""A result as report.json, for other programs.

One object: "format" and "version" say what it is; "same" is the verdict; the rest has the fields of
`result.Result` under their names, in the order of its docstring. A finding, a diagnosis and a blame
are objects with the fields of their classes; those that are None or empty by default are left out
then. Rows are lists.

JSON has no infinity and no NaN: in their place stands {"number": "inf"}, "-inf" or "nan". Settings
and environment hold any values: what JSON cannot say is written as its `str`.

Fields may be added under the same version; a reader must ignore those it does not know.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from official.cli.errors import UserError
from official.cli.files import write_file
from official.parity.result import Blame, Diagnosis, Finding, Result, Stage, Status

FORMAT = "transplant parity report"
VERSION = 1


def write_json(result: Result, path: Path) -> None:
  """Writes `result` to `path`, atomically, making the directory where it is missing.

  Raises:
    UserError: when the system refuses to write.
  """
  report = {"format": FORMAT, "version": VERSION, "same": result.same, **_encode(result)}
  write_file(path, f"{_dump(report)}\n".encode())


def read_json(path: Path) -> Result:
  """The inverse of `write_json`; every sequence is a tuple.

  Raises:
    UserError: where `path` cannot be read or is no report of this version.
  """
  try:
    report = json.loads(path.read_bytes(), object_hook=_number)
  except OSError as error:
    raise UserError(f"cannot read {path}: {error.strerror or error}") from error
  except (ValueError, RecursionError) as error:
    raise UserError(f"{path} is no parity report: it is not JSON; write it again") from error
  if not isinstance(report, dict) or report.get("format") != FORMAT:
    raise UserError(f"{path} is no parity report: its format is not '{FORMAT}'")
  if report.get("version") != VERSION:
    raise UserError(
      f"{path} is a report of version {report.get('version')}; this program reads {VERSION}:"
      " write it again"
    )
  try:
    return _result(report)
  except (AttributeError, KeyError, TypeError, ValueError) as error:
    raise UserError(f"{path} is a damaged parity report ({error!r}); write it again") from error


def _dump(report: Mapping[str, Any]) -> str:
  """JSON with a line for each field and, in stages, for each finding, so that two reports diff."""
  lines = []
  for name, value in report.items():
    text = _list(value, _stage_text) if name == "stages" else _compact(value)
    lines.append(f"{_compact(name)}:{text}")
  return "{" + ",\n".join(lines) + "}"


def _stage_text(stage: Mapping[str, Any]) -> str:
  fields = (
    f"{_compact(name)}:{_list(value, _compact) if isinstance(value, list) else _compact(value)}"
    for name, value in stage.items()
  )
  return "{" + ",".join(fields) + "}"


def _list(values: Sequence[Any], text: Callable[[Any], str]) -> str:
  return "[" + ",\n".join(map(text, values)) + "]"


def _compact(value: Any) -> str:
  return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _encode(value: Any) -> Any:
  """`value` as JSON's own types."""
  if dataclasses.is_dataclass(value) and not isinstance(value, type):
    fields = ((f, getattr(value, f.name)) for f in dataclasses.fields(value))
    return {f.name: _encode(v) for f, v in fields if v not in ("", None) or v != f.default}
  if isinstance(value, np.generic):
    return _encode(value.item())
  if isinstance(value, float) and not math.isfinite(value):
    return {"number": repr(value)}
  if value is None or isinstance(value, (str, bool, int, float)):
    return value
  if isinstance(value, Mapping):
    return {str(name): _encode(v) for name, v in value.items()}
  if isinstance(value, (Sequence, np.ndarray)):
    return [_encode(v) for v in value]
  return str(value)


def _number(value: dict[str, Any]) -> Any:
  if value.keys() == {"number"} and value["number"] in ("inf", "-inf", "nan"):
    return float(value["number"])
  return value


def _known(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
  """The fields of `kind` among `values`; others are of a newer program."""
  return {f.name: values[f.name] for f in dataclasses.fields(kind) if f.name in values}


def _result(values: Mapping[str, Any]) -> Result:
  fields = _known(Result, values)
  fields["stages"] = tuple(_stage(stage) for stage in values["stages"])
  for name in ("settings", "weights"):
    fields[name] = tuple(tuple(row) for row in values[name])
  fields["determinism"] = tuple(values["determinism"])
  fields["coverage"] = {name: tuple(counts) for name, counts in values["coverage"].items()}
  return Result(**fields)


def _stage(values: Mapping[str, Any]) -> Stage:
  findings = tuple(_finding(finding) for finding in values["findings"])
  blames = tuple(_blame(blame) for blame in values["blames"])
  return Stage(**{**_known(Stage, values), "findings": findings, "blames": blames})


def _finding(values: Mapping[str, Any]) -> Finding:
  fields = {**_known(Finding, values), "status": Status(values["status"])}
  for name in ("error", "noise", "limit"):
    fields[name] = float(values[name])
  if "forced_status" in values:
    fields["forced_status"] = Status(values["forced_status"])
  return Finding(**fields)


def _blame(values: Mapping[str, Any]) -> Blame:
  fields = {**_known(Blame, values), "finding": _finding(values["finding"])}
  fields["region"] = tuple(values["region"])
  fields["diagnoses"] = tuple(
    Diagnosis(**_known(Diagnosis, diagnosis)) for diagnosis in values["diagnoses"]
  )
  return Blame(**fields)
