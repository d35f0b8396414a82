"""Finds the projects: the packages beside this file that have a `dossier.py`."""

import importlib
import importlib.util
import pkgutil

import projects
from official.cli.errors import UserError, nearest
from official.dossiers.dossier import Dossier


def names() -> list[str]:
  """The projects' names, sorted."""
  packages = (module.name for module in pkgutil.iter_modules(projects.__path__) if module.ispkg)
  return sorted(name for name in packages if importlib.util.find_spec(f"projects.{name}.dossier"))


def of_project(name: str) -> Dossier:
  """The dossier of the project `name`; raises `UserError` where there is none."""
  known = names()
  if name not in known:
    raise UserError(
      f"no project '{name}'{nearest(name, known)} (the projects are {', '.join(known)})"
    )
  return importlib.import_module(f"projects.{name}.dossier").DOSSIER


def of_experiment(name: str) -> Dossier:
  """The dossier of the project that registers the experiment `name`.

  Raises:
    UserError: none does.
  """
  dossiers = [of_project(project) for project in names()]
  for dossier in dossiers:
    if name in dossier.experiments:
      return dossier
  known = [experiment for dossier in dossiers for experiment in dossier.experiments]
  raise UserError(f"no experiment '{name}'{nearest(name, known)} (see train.py --list_experiments)")
