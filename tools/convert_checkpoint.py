"""Makes checkpoints from originals' files of weights, and such files from checkpoints."""

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from official.cli import app
from official.cli.arguments import Parser
from official.cli.errors import UserError
from official.cli.progress import Progress
from projects import dossiers
from tools import predict_network

if TYPE_CHECKING:
  import tf_keras

  from official.checkpoints.schemes import ForeignFiles
  from official.core import config_definitions as cfg

_DESCRIPTION = """\
Imports weights of originals (.pkl, .pth, .safetensors, .weights: the format is told by the content,
nothing in the file is executed, torch is not needed), and exports ours under their names. Strict
both ways: every array is used once, every variable filled once, every shape fits; what does not is
listed. --experiment names the network, with --params_override where it differs from the default.

Trainings start from such files directly: task.init_checkpoint=FILE."""
_EXAMPLES = """\
  python -m tools.convert_checkpoint import --experiment=maskformer_r50_coco_panoptic \\
    model_final_0d9f3a.pkl runs/original
  python -m tools.convert_checkpoint import --experiment=maskformer_swin_tiny_coco_panoptic \\
    maskformer-swin-tiny-coco/model.safetensors runs/transformers
  python -m tools.convert_checkpoint export --experiment=maskformer_r50_ade20k \\
    --names=facebookresearch runs/mine mine.pkl
  python -m tools.convert_checkpoint export --experiment=maskformer_r50_ade20k \\
    --names=transformers runs/mine mine/model.safetensors
  python -m tools.convert_checkpoint import --experiment=yolo_v4_tiny_coco \\
    yolov4-tiny.weights runs/darknet"""


def main(argv: Sequence[str] | None = None) -> None:
  """Runs the command with `argv` (None: the command line)."""
  arguments = _parser().parse_args(argv)
  dossier = dossiers.of_experiment(arguments.experiment)
  if dossier.foreign is None:
    raise UserError(f"{dossier.name} knows no files of originals")
  arguments.command(arguments, dossier.foreign)


def _parser() -> Parser:
  parser = Parser(_DESCRIPTION, _EXAMPLES, prog="convert_checkpoint")
  commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
  into = _add(commands, "import", _import, "make a checkpoint from an original's file")
  into.add_argument("file", metavar="FILE", help="of weights")
  into.add_argument("output", metavar="OUT", type=Path, help="folder to make")
  out = _add(commands, "export", _export, "make an original's file from a checkpoint")
  out.add_argument("checkpoint", metavar="DIR", help="a run's folder, or one checkpoint of it")
  out.add_argument("output", metavar="OUT", type=Path, help="file; its end says the format")
  out.add_argument("--names", required=True, metavar="WHOSE", help="such as transformers")
  return parser


def _add(
  commands: "argparse._SubParsersAction[Parser]",
  name: str,
  command: Callable[[argparse.Namespace, Callable], None],
  help_: str,
) -> Parser:
  described = f"{help_[0].upper()}{help_[1:]}."
  parser = commands.add_parser(name, help=help_, description=described, examples=_EXAMPLES)
  parser.set_defaults(command=command)
  add = parser.add_argument
  add("--experiment", required=True, metavar="NAME", help="that trains the network")
  add("--params_override", default="", metavar="SETTINGS", help="as for train.py")
  return parser


def _import(
  arguments: argparse.Namespace, foreign_files: Callable[["cfg.TaskConfig"], "ForeignFiles"]
) -> None:
  output = arguments.output
  if output.exists() and (not output.is_dir() or any(output.iterdir())):
    raise UserError(f"{output} is there already: name another folder")
  import projects.registry  # noqa: F401
  from official.checkpoints.transfer import TransferError
  from official.serving.foreign import Filling
  from official.training import environment, settings

  environment.quiet()
  params = settings.experiment(arguments.experiment)
  overrides = settings.parse_override(arguments.params_override)
  settings.override(params, overrides, "--params_override")
  model = _network(params)
  try:
    filling = Filling(model, arguments.file, foreign_files(params.task))
  except TransferError as error:
    print("\n".join(error.problems), file=sys.stderr)
    raise
  with Progress("reading", len(filling.names), "variables") as progress:
    for name in filling.names:
      filling.fill(name)
      progress.advance()
  _write_run(model, params, output)
  print(f"{output}: {len(filling.names)} variables of {arguments.file}")


def _network(params: "cfg.ExperimentConfig") -> "tf_keras.Model":
  from official.core import task_factory

  return task_factory.get_task(params.task).build_model()


def _write_run(model: "tf_keras.Model", params: "cfg.ExperimentConfig", output: Path) -> None:
  """A folder as training leaves it: a checkpoint of step 0, and the settings."""
  import tensorflow as tf

  from official.training import record

  partial = output.with_name(f"{output.name}.partial")
  shutil.rmtree(partial, ignore_errors=True)
  try:
    record.save(params, str(partial))
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(model=model), str(partial), 1)
    manager.save(checkpoint_number=0)
    os.replace(partial, output)
  except (OSError, tf.errors.OpError) as error:
    raise UserError(f"cannot write {output}: {str(error).splitlines()[0]}") from error
  finally:
    shutil.rmtree(partial, ignore_errors=True)


def _export(
  arguments: argparse.Namespace, foreign_files: Callable[["cfg.TaskConfig"], "ForeignFiles"]
) -> None:
  from official.serving import foreign, weights
  from official.serving.run_folder import RunFolder
  from official.training import environment

  environment.quiet()
  folder = RunFolder(arguments.checkpoint)
  params = predict_network.settings_of(arguments, folder)
  files = foreign_files(params.task)
  files.scheme(arguments.names), files.writer(arguments.output)  # Before minutes are spent.
  prefix = folder.checkpoint(params.trainer.best_checkpoint_export_subdir)
  model = _network(params)
  weights.load(model, prefix)
  count = foreign.save(model, arguments.output, files, arguments.names)
  print(f"{arguments.output}: {count} arrays of {prefix}, {arguments.names} names")


if __name__ == "__main__":
  app.run(main)
