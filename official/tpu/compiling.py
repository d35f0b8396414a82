"""Compiles programs in a process of its own: with progress, a time limit, and a cache."""

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from official.cli.errors import UserError
from official.cli.files import make_directory, write_file
from official.tpu.chips import Topology

if TYPE_CHECKING:
  from official.tpu.lowering import Program

_PACKAGES = ("jax", "jaxlib", "libtpu")
_RESULTS = ("response.json", "optimized.hlo", "lowered.hlo")
_WORKER = "official.tpu.compile_worker"
_VERSION = 2  # Of what the worker writes.

Tell = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Compiled:
  """What the compiler made of a program.

  Attributes:
    memory: bytes on each core: arguments, outputs, aliased, temporaries, code, host; empty where it
      did not compile.
    costs: the compiler's own count: flops, bytes accessed.
    optimized: the compiled program's text; empty where it did not compile.
    lowered: the text of what was compiled.
    error: what the compiler said; empty where it compiled.
    seconds: that compiling took.
    cpu_seconds: of all processors together.
    peak_bytes: of memory that compiling took.
    cached: whether all of this is remembered from an earlier run.
  """

  memory: dict[str, int]
  costs: dict[str, float]
  optimized: str
  lowered: str
  error: str
  seconds: float
  cpu_seconds: float
  peak_bytes: int
  cached: bool = False


def versions() -> dict[str, str]:
  """Of the packages that compile.

  Raises:
    UserError: one is missing.
  """
  try:
    return {name: importlib.metadata.version(name) for name in _PACKAGES}
  except importlib.metadata.PackageNotFoundError as error:
    raise UserError(f"{error.name} is not installed: pip install -e '.[tpu]'") from error


def compile_for(
  program: "Program",
  topology: Topology,
  *,
  limit: float | None = None,
  cache: Path | None = None,
  tell: Tell = lambda phase: None,
) -> Compiled:
  """Compiles the program for every core of the topology.

  Args:
    program: of one replica.
    topology: the chips.
    limit: seconds after which the compiler is stopped; None waits.
    cache: a folder of earlier results; None remembers nothing.
    tell: is called with the name of each phase as it begins.

  Raises:
    UserError: a package is missing.
  """
  found = versions()
  kept = cache / _key(program, topology, found) if cache else None
  if kept and (kept / _RESULTS[0]).exists():
    return dataclasses.replace(_read(kept), cached=True)
  with tempfile.TemporaryDirectory(prefix="tpu_check-") as name:
    folder = Path(name)
    (folder / "program.hlo").write_bytes(program.hlo)
    request = {"topology": topology.name, "replicas": topology.replicas}
    (folder / "request.json").write_text(json.dumps(request))
    problem, seconds = _work(folder, limit, tell)
    if problem:
      return Compiled({}, {}, "", "", problem, seconds, 0, 0)
    if kept:
      _keep(folder, kept)
    return _read(folder)


def _key(program: "Program", topology: Topology, found: dict[str, str]) -> str:
  parts = (program.digest, topology.name, json.dumps(found, sort_keys=True), str(_VERSION))
  return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _work(folder: Path, limit: float | None, tell: Tell) -> tuple[str, float]:
  """Runs the worker; what went wrong, if anything did, and the seconds it took."""
  began = time.monotonic()
  command = [sys.executable, "-m", _WORKER, str(folder)]
  root = str(Path(__file__).resolve().parents[2])
  paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
  environment = {**os.environ, "PYTHONPATH": paths}
  with (
    open(folder / "stderr", "wb") as stderr,
    subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=environment) as worker,
  ):
    relay = threading.Thread(target=_relay, args=(worker, tell), daemon=True)
    relay.start()
    in_time = _wait(worker, limit)
    relay.join()
  seconds = time.monotonic() - began
  if not in_time:
    return f"not compiled after {limit:.0f} s, the time limit (--time_limit)", seconds
  if worker.returncode:
    return f"the compiler died ({_reason(worker.returncode, folder)})", seconds
  return "", seconds


def _wait(worker: subprocess.Popen[bytes], limit: float | None) -> bool:
  """Waits for the worker; whether it ended in time. Whatever happens, it ends."""
  try:
    worker.wait(limit)
    return True
  except subprocess.TimeoutExpired:
    return False
  finally:
    worker.kill()
    worker.wait()


def _relay(worker: subprocess.Popen[bytes], tell: Tell) -> None:
  for line in worker.stdout or ():
    tell(line.decode(errors="replace").strip())


def _reason(code: int, folder: Path) -> str:
  if code == -9:
    return "killed: probably not enough memory on this machine"
  lines = (folder / "stderr").read_text(errors="replace").strip().splitlines()
  return f"exit code {code}: {lines[-1] if lines else 'it said nothing'}"


def _keep(folder: Path, kept: Path) -> None:
  """Remembers what the worker wrote; the response last, which says that it is whole."""
  make_directory(kept)
  for name in reversed(_RESULTS):
    if (folder / name).exists():
      write_file(kept / name, (folder / name).read_bytes())


def _read(folder: Path) -> Compiled:
  response: dict[str, Any] = json.loads((folder / "response.json").read_text())
  texts = {
    name: (folder / f"{name}.hlo").read_text() if (folder / f"{name}.hlo").exists() else ""
    for name in ("optimized", "lowered")
  }
  return Compiled(
    memory=response.get("memory", {}),
    costs=response.get("costs", {}),
    error=response.get("error", ""),
    seconds=response["seconds"],
    cpu_seconds=response["cpu_seconds"],
    peak_bytes=response["peak_bytes"],
    **texts,
  )


def default_cache() -> Path:
  """Where results are remembered, as other programs of this user do."""
  base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
  return Path(base) / "transplant" / "tpu_check"
