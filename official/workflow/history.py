"""What git holds of a project's evidence: what once was committed cannot be unwritten."""

import subprocess
from pathlib import Path


def committed(path: Path, revision: str = "HEAD") -> bytes | None:
  """The bytes of `path` in `revision`; None where git has none, or there is no git."""
  there = next(parent for parent in path.parents if parent.is_dir())  # It may be deleted whole.
  done = _git(there, "show", f"{revision}:./{path.relative_to(there).as_posix()}")
  return done.stdout if done and done.returncode == 0 else None


def commit(root: Path) -> str:
  """The commit of `root`, with "+" behind it where tracked files differ; empty without git."""
  head = _git(root, "rev-parse", "HEAD")
  if head is None or head.returncode:
    return ""
  clean = _git(root, "diff", "--quiet", "HEAD")
  return head.stdout.decode().strip() + ("" if clean and clean.returncode == 0 else "+")


def knows(root: Path, revision: str) -> bool:
  """Whether `revision` names a commit."""
  done = _git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
  return done is not None and done.returncode == 0


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes] | None:
  """What git says in `folder`; None where there is no git."""
  try:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)
  except FileNotFoundError:
    return None
