"""Where `predict` takes its network from: a training run, an export, or foreign files."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from official.cli.errors import UserError
from official.datasets.annotations import Category
from projects import dossiers
from tools import predict_outputs

if TYPE_CHECKING:
  import numpy as np

  from official.core import config_definitions as cfg
  from official.dossiers.dossier import Dossier, Importer
  from official.serving.run_folder import RunFolder


class Network(NamedTuple):
  """What to predict with.

  Attributes:
    predict: what is in each of some images.
    output: makes of a folder, categories and a score threshold what collects that.
    categories: by class.
    source: what it was made of, for people.
  """

  predict: Callable[[Sequence["np.ndarray"]], Sequence[Any]]
  output: Callable[[Path, Sequence[Category], float], predict_outputs.Output]
  categories: Sequence[Category]
  source: str


def check(arguments: argparse.Namespace) -> None:
  """Raises `UserError` where the flags do not name one network, before TensorFlow is loaded."""
  if arguments.imported and arguments.exported:
    raise UserError("--imported and --exported name a network each: leave one of them out")
  if arguments.names and not arguments.imported:
    raise UserError("--names is of --imported networks: others know their own")
  if instead := "imported" if arguments.imported else "exported" if arguments.exported else "":
    of_runs = ("experiment", "checkpoint", "params_override")
    for flag in filter(lambda name: getattr(arguments, name), of_runs):
      raise UserError(f"--{flag} is of trained networks: leave it out, or --{instead}")
  if arguments.imported:
    _importer(arguments.imported)
  elif arguments.exported:
    _read_export(arguments.exported)
  elif not (arguments.experiment and arguments.checkpoint):
    raise UserError(
      "give --experiment and --checkpoint, or --exported, or --imported (see predict --help)"
    )
  else:
    dossiers.of_experiment(arguments.experiment)


def network(arguments: argparse.Namespace, batch_size: int) -> Network:
  """The network that the flags name, which takes so many images at a time.

  Raises:
    UserError: files or settings are wrong, or do not fit each other.
  """
  if arguments.imported:
    return _imported(arguments, batch_size)
  if arguments.exported:
    return _exported(arguments)
  return _trained(arguments, batch_size)


class Run(NamedTuple):
  """A run: what it trained, the prefix of its checkpoint, and its classes."""

  task: "cfg.TaskConfig"
  checkpoint: str
  categories: Sequence[Category]


def trained_run(arguments: argparse.Namespace) -> Run:
  """The run that `experiment`, `checkpoint` and `params_override` name.

  Raises:
    UserError: settings or checkpoint are wrong, or do not fit each other.
  """
  from official.serving.run_folder import RunFolder

  dossier = dossiers.of_experiment(arguments.experiment)
  folder = RunFolder(arguments.checkpoint)
  params = settings_of(arguments, folder)
  checkpoint = folder.checkpoint(params.trainer.best_checkpoint_export_subdir)
  return Run(params.task, checkpoint, _categories(folder, dossier, params))


def settings_of(arguments: argparse.Namespace, run: "RunFolder") -> "cfg.ExperimentConfig":
  """The experiment's defaults, then the run's own settings, then --params_override.

  Raises:
    UserError: some cannot be read, or are none of the experiment's.
  """
  import projects.registry  # noqa: F401
  from official.training import settings

  params = settings.experiment(arguments.experiment)
  if recorded := run.settings():
    settings.override(params, recorded[1], recorded[0])
  else:
    print(
      f"no params.yaml at {arguments.checkpoint}: using the experiment's defaults", file=sys.stderr
    )
  overrides = settings.parse_override(arguments.params_override)
  settings.override(params, overrides, "--params_override")
  return params


def _trained(arguments: argparse.Namespace, batch_size: int) -> Network:
  dossier = dossiers.of_experiment(arguments.experiment)
  task, checkpoint, categories = trained_run(arguments)
  if dossier.segmenter:
    segmenter = dossier.segmenter(task, checkpoint, batch_size, categories)
    return Network(segmenter.segment, predict_outputs.Segmented, categories, checkpoint)
  detector = dossier.detector(task, checkpoint, batch_size)
  return Network(detector.detect, predict_outputs.Detected, categories, checkpoint)


def _exported(arguments: argparse.Namespace) -> Network:
  dossier, categories = _read_export(arguments.exported)
  detector = dossier.exported(arguments.exported)
  source = str(arguments.exported)
  return Network(detector.detect, predict_outputs.Detected, categories, source)


def _read_export(folder: Path) -> tuple["Dossier", Sequence[Category]]:
  from official.serving import exported

  told = exported.read(folder)
  dossier = dossiers.of_project(told.project)
  if dossier.exported is None:
    raise UserError(f"{folder}: {told.project} does not read what it exports")
  return dossier, told.categories


def _imported(arguments: argparse.Namespace, batch_size: int) -> Network:
  files = arguments.imported
  detector, count = _importer(files).load(*files, batch_size)
  categories = _named(arguments.names, count)
  return Network(detector.detect, predict_outputs.Detected, categories, files[1])


def _named(path: Path | None, count: int) -> Sequence[Category]:
  """Things with the names in a file; without one, with numbers."""
  if not path:
    return _numbered(count, "give --names")
  names = _read_names(path)
  if len(names) != count:
    raise UserError(f"--names {path} has {len(names)} names for {count} classes")
  return [Category(index, name, True) for index, name in enumerate(names)]


def _importer(files: Sequence[str]) -> "Importer":
  """Of the project that reads such files."""
  known = [each for each in map(dossiers.of_project, dossiers.names()) if each.importer]
  for dossier in known:
    if tuple(Path(file).suffix for file in files) == dossier.importer.suffixes:
      return dossier.importer
  pairs = ", ".join(f"NET{' NET'.join(each.importer.suffixes)} ({each.name})" for each in known)
  raise UserError(f"--imported {' '.join(files)}: no project reads such files; known are {pairs}")


def _read_names(path: Path) -> list[str]:
  try:
    return [line.strip() for line in path.read_text().splitlines() if line.strip()]
  except (OSError, UnicodeDecodeError) as error:
    raise UserError(f"--names {path}: cannot be read: {error}") from error


def _categories(
  run: "RunFolder", dossier: "Dossier", params: "cfg.ExperimentConfig"
) -> Sequence[Category]:
  """The classes as the run recorded them, else as the data has them, else as bare numbers."""
  count = params.task.model.num_classes
  recorded = run.categories()
  if recorded is not None:
    if len(recorded) != count:
      raise UserError(
        f"task.model.num_classes is {count}, but the run was trained on {len(recorded)} categories"
      )
    return recorded
  try:
    return dossier.categories(params.task)
  except UserError as error:
    return _numbered(count, str(error))


def _numbered(count: int, reason: str) -> Sequence[Category]:
  print(f"class names are not known ({reason}); category ids are indices", file=sys.stderr)
  return [Category(index, f"class {index}", True) for index in range(count)]
