"""Runs a gate's command and records what came of it."""

import dataclasses
import datetime
import gzip
import itertools
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from official.cli.errors import UserError
from official.workflow import figures, history, records, versions
from official.workflow.bindings import REPORT, Binding, Pin
from official.workflow.figures import Figures
from official.workflow.ledger import CODE
from official.workflow.project import Project
from official.workflow.records import Record
from official.workflow.sources import Scope, Sources, tree_digest

_LOG = 64 << 10  # Bytes of a command's output that are kept: its end.
_PLAIN = 64 << 10  # A report of more bytes is kept compressed.
_NOTHING = Figures({}, "", ("", b""))


def run(project: Project, name: str, tell: Callable[[str], None]) -> Record:
  """Runs the gate `name` and adds what came of it to the evidence.

  Args:
    project: whose gate.
    name: of the binding.
    tell: called with each line that the command prints.

  Raises:
    UserError: nothing is bound to the gate, its weights or data are not at hand, or the evidence is
      damaged; nothing is run then. Or it became damaged meanwhile: see `Ledger.append`.
  """
  binding = project.binding(name)
  weights, data = _pinned(project.root, binding.weights), _pinned(project.root, binding.data)
  problems = project.ledger.read().problems
  if problems:
    raise UserError(f"{project.ledger.path}: {problems[0]}; mend it: workflow mend {project.name}")
  scope, at, began = project.scope(binding, Sources(project.root)), _now(), time.monotonic()
  with tempfile.TemporaryDirectory(prefix="gate-") as folder:
    code, log = _execute(binding, project.root, folder, tell)
    found = _figures(binding, Path(folder))
  after = project.scope(binding, Sources(project.root))
  reason = _reason(code, found, binding, changed=after != scope)
  record = Record(
    project=project.name,
    gate=name,
    at=at,
    command=binding.command,
    declaration=binding.digest,
    code=scope.digest,
    weights=weights,
    data=data,
    versions=_versions(scope, binding),
    commit=history.commit(project.root),
    result=records.FAILED if reason else records.PASSED,
    reason=reason,
    seconds=round(time.monotonic() - began, 1),
    figures=found.values,
    files={},
  )
  return project.ledger.append(record, _files(log, scope, found))


def _pinned(root: Path, pins: tuple[Pin, ...]) -> dict[str, str]:
  """The digests of what is there, which are those that are pinned."""
  for pin in pins:
    if not (root / pin.path).exists():
      raise UserError(f"{pin.path} is not at hand; bring it (SHA-256 {pin.sha256[:12]}…)")
    if tree_digest(root / pin.path) != pin.sha256:
      raise UserError(f"{pin.path} is not what is pinned (SHA-256 {pin.sha256[:12]}…)")
  return {pin.path: pin.sha256 for pin in pins}


def _execute(
  binding: Binding, root: Path, folder: str, tell: Callable[[str], None]
) -> tuple[int, bytes]:
  """The command's exit code, and the end of what it prints, without this machine's paths."""
  words = [word.replace(REPORT, folder) for word in shlex.split(binding.command)]
  command = [sys.executable if word == "python" else word for word in words]
  lines = []
  with subprocess.Popen(
    command,
    cwd=root,
    env=_environment(os.environ),
    stdin=subprocess.DEVNULL,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    errors="replace",
  ) as process:
    for line in process.stdout:
      tell(line.rstrip("\n"))
      lines.append(line.replace(folder, REPORT).replace(str(root), "."))
  return process.returncode, "".join(lines).encode()[-_LOG:]


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
  """Without what changes which tests run, or which code.

  No byte code is written: Python takes it for current where a file was edited within the second
  and kept its length, and the next run would be of the old code.
  """
  kept = {
    name: value
    for name, value in variables.items()
    if not name.startswith(("PYTEST_", "PYTHON", "COVERAGE_"))
  }
  return kept | {"PYTHONDONTWRITEBYTECODE": "1"}


def _figures(binding: Binding, folder: Path) -> Figures:
  if binding.report is None:
    return _NOTHING
  path = folder / binding.report
  if not path.is_file():
    return dataclasses.replace(_NOTHING, wrong=f"it wrote no {binding.report}")
  return figures.read(binding.report, path.read_bytes())


def _reason(code: int, found: Figures, binding: Binding, changed: bool) -> str:
  """Why the run did not pass; empty where it did."""
  if code:
    return f"exit code {code}" + (f": {found.wrong}" if found.wrong else "")
  if changed:
    return "the code was changed while it ran"
  return found.wrong or figures.below(found.values, binding.at_least)


def _versions(scope: Scope, binding: Binding) -> dict[str, str]:
  """Of what the code imports, and of the program that the command runs."""
  words = shlex.split(binding.command)
  programs = [after for word, after in itertools.pairwise(words) if word == "-m"]
  return {
    "python": platform.python_version(),
    **versions.installed({*scope.packages, *programs}),
  }


def _files(log: bytes, scope: Scope, found: Figures) -> dict[str, bytes]:
  """What the run leaves, by the ends of names."""
  code = json.dumps(scope.brief, indent=0) + "\n"
  files = {"log": log, CODE: code.encode()}
  name, data = found.kept
  if len(data) > _PLAIN:
    name, data = f"{name}.gz", gzip.compress(data, mtime=0)
  return files | ({name: data} if name else {})


def _now() -> str:
  return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
