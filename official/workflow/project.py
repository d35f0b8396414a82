"""A project as the workflow sees it: its file, its evidence, and what code each gate is about."""

import dataclasses
import shlex
from collections.abc import Iterator
from pathlib import Path

from official.cli.errors import UserError, nearest
from official.workflow import reengineering
from official.workflow.bindings import Binding
from official.workflow.ledger import Ledger
from official.workflow.reengineering import Reengineering
from official.workflow.sources import Scope, Sources


@dataclasses.dataclass(frozen=True)
class Project:
  """A project that keeps evidence.

  Attributes:
    name: the package under `projects/`.
    root: of the repository.
    file: what its `reengineering.yaml` says.
  """

  name: str
  root: Path
  file: Reengineering

  @property
  def folder(self) -> Path:
    """The package."""
    return self.root / "projects" / self.name

  @property
  def ledger(self) -> Ledger:
    """Its evidence."""
    return Ledger(self.folder / "evidence", self.name)

  def binding(self, name: str) -> Binding:
    """The gate `name`; raises `UserError` where nothing is bound to it."""
    if name not in self.file.gates:
      raise UserError(
        f"{self.name} binds no command to a gate '{name}'{nearest(name, self.file.gates)}"
        f" (in {self.folder / reengineering.FILE})"
      )
    return self.file.gates[name]

  def scope(self, binding: Binding, sources: Sources) -> Scope:
    """The code that a gate is about, as it is now.

    It is what the command names, what `code` names, what those import, and for a tool the project's
    dossier, through which tools reach the rest.
    """
    words = shlex.split(binding.command)
    entries = [*self._named(words), *binding.code]
    if "pytest" in words:
      entries.append("pyproject.toml")  # pytest's settings: a test may be left out there.
    if any(word.startswith("tools.") for word in words):
      entries.append(f"projects.{self.name}.dossier")
    return sources.scope(entries, follow=binding.gate.follows)

  def _named(self, words: list[str]) -> Iterator[str]:
    """The files, folders and modules of this repository that a command names."""
    for before, word in zip(["", *words], words, strict=False):
      path = word.partition("::")[0].rpartition("=")[2]
      if before == "-m" and Sources(self.root).module(word):
        yield word
      elif path and not word.startswith("-m") and (self.root / path).exists():
        yield path


def load(root: Path, name: str) -> Project:
  """The project `name` of the repository at `root`.

  Raises:
    UserError: there is no such project, or its file is wrong.
  """
  known = names(root)
  if name not in known:
    raise UserError(
      f"no project '{name}' with a {reengineering.FILE}{nearest(name, known)}"
      f" (the projects are {', '.join(known) or 'none'})"
    )
  return Project(name, root, reengineering.read(root / "projects" / name / reengineering.FILE))


def names(root: Path) -> list[str]:
  """The projects that have a `reengineering.yaml`, sorted."""
  return sorted(path.parent.name for path in root.glob(f"projects/*/{reengineering.FILE}"))
