"""What code an answer is about: files, and all that they import in this repository.

Imports are read from the text, those inside functions too, and nothing is run. A module whose name
is put together at run time is not seen: a gate names it under `code`.
"""

import ast
import dataclasses
import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from official.cli.errors import UserError

# What a folder holds beside code: written by tools and people, and read by no gate that does not
# name it.
_PASSED_OVER = ("__pycache__", "evidence", "reengineering.yaml")


@dataclasses.dataclass(frozen=True)
class Scope:
  """Code as it is now.

  Attributes:
    files: the SHA-256 of each file, by its path from the root, sorted.
    packages: the foreign packages that the files import, by the name that they import.
  """

  files: Mapping[str, str]
  packages: tuple[str, ...]

  @property
  def digest(self) -> str:
    """Of names and contents together."""
    return _digest("".join(f"{name}\0{digest}\n" for name, digest in self.files.items()).encode())

  @property
  def brief(self) -> dict[str, str]:
    """The beginning of each file's digest, which tells whether the file was changed."""
    return {name: digest[:12] for name, digest in self.files.items()}


class Sources:
  """Reads a repository's code; each file is read once, so make a new one after a change.

  Args:
    root: of the repository.
  """

  def __init__(self, root: Path) -> None:
    self._root = root
    self._known: dict[Path, tuple[str, list[list[str]]]] = {}

  def scope(self, entries: Iterable[str], follow: bool = True) -> Scope:
    """The files of `entries`, and those that they import.

    Args:
      entries: paths from the root, or modules.
      follow: whether imports count.

    Raises:
      UserError: there is neither such a file nor such a module.
    """
    files, packages = set[Path](), set[str]()
    waiting = [path for entry in entries for path in self._entry(entry)]
    while waiting:
      path = waiting.pop()
      if path in files:
        continue
      files.add(path)
      if follow:
        waiting += [*self._imported(path, packages), *self._conftests(path)]
    digests = {self._name(path): self._read(path)[0] for path in files}
    return Scope(dict(sorted(digests.items())), tuple(sorted(packages)))

  def module(self, name: str) -> list[Path]:
    """The files that importing `name` runs: its packages' and its own; none where it is foreign."""
    parts = name.split(".")
    base = self._root.joinpath(*parts)
    own = next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)
    if own is None:
      return []
    packages = (self._root.joinpath(*parts[:i], "__init__.py") for i in range(1, len(parts)))
    return [*(path for path in packages if path.is_file()), own]

  def _entry(self, entry: str) -> list[Path]:
    path = self._root / entry
    if path.is_dir():
      return list(files_below(path))
    found = [path] if path.is_file() else self.module(entry)
    if not found:
      raise UserError(f"code '{entry}': there is neither such a file nor such a module")
    return found

  def _imported(self, path: Path, packages: set[str]) -> Iterator[Path]:
    """The repository's files that `path` imports; foreign ones are added to `packages`."""
    for names in self._read(path)[1]:
      found = [file for name in names for file in self.module(name)]
      yield from found
      top = names[0].partition(".")[0]
      if not found and top not in sys.stdlib_module_names:
        packages.add(top)

  def _conftests(self, path: Path) -> Iterator[Path]:
    """What pytest runs before a file of tests."""
    if path.name.startswith("test_"):
      folders = [parent for parent in path.parents if parent.is_relative_to(self._root)]
      yield from (file for folder in folders if (file := folder / "conftest.py").is_file())

  def _read(self, path: Path) -> tuple[str, list[list[str]]]:
    if path not in self._known:
      data = _bytes(path)
      names = _imports(data, self._name(path)) if path.suffix == ".py" else []
      self._known[path] = _digest(data), names
    return self._known[path]

  def _name(self, path: Path) -> str:
    return path.relative_to(self._root).as_posix()


def _imports(data: bytes, name: str) -> list[list[str]]:
  """For each import in the code the modules that it may mean; the first one is there if any is."""
  try:
    tree = ast.parse(data, name)
  except (SyntaxError, ValueError):
    return []  # It imports nothing; its bytes count all the same.
  package = name.split("/")[:-1]
  found = []
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      found += [[alias.name] for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
      start = package[: len(package) - node.level + 1] if node.level else []
      base = ".".join([*start, *(node.module or "").split(".")]).strip(".")
      found.append([base, *(f"{base}.{alias.name}" for alias in node.names)])
  return found


def tree_digest(path: Path) -> str:
  """The SHA-256 of a file, or of the names and contents of all files of a folder.

  Raises:
    UserError: it is not there or cannot be read.
  """
  if not path.is_dir():
    return _digest(_bytes(path))
  rows = [f"{file.relative_to(path).as_posix()}\0{_digest(_bytes(file))}\n" for file in _all(path)]
  return _digest("".join(rows).encode())


def files_below(folder: Path) -> Iterator[Path]:
  """The files of `folder` that are code, or what code reads: no notes, no evidence."""
  for path in _all(folder):
    parts = path.relative_to(folder).parts
    hidden = any(part.startswith(".") or part in _PASSED_OVER for part in parts)
    if not hidden and path.suffix not in (".md", ".partial"):
      yield path


def _all(folder: Path) -> list[Path]:
  return sorted(path for path in folder.rglob("*") if path.is_file())


def _bytes(path: Path) -> bytes:
  try:
    return path.read_bytes()
  except OSError as error:
    raise UserError(f"cannot read {path}: {error.strerror or error}") from error


def _digest(data: bytes) -> str:
  return hashlib.sha256(data).hexdigest()
