"""Trains and evaluates a registered experiment: flags → gin → experiment → Orbit."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from official.cli import app
from official.cli.arguments import Parser
from official.cli.errors import UserError
from official.training import yaml_files
from official.training.model_dir import check_model_dir

if TYPE_CHECKING:
  from official.core import config_definitions

_MODES = ("train", "eval", "train_and_eval", "train_and_post_eval", "continuous_eval")
_DESCRIPTION = """\
Trains and evaluates a registered experiment. Settings are the experiment's defaults, then each
--config_file, then --params_override. The same command goes on where a run was stopped or killed,
and ends with the same weights."""
_EXAMPLES = """\
  python train.py --list_experiments
  python train.py --experiment=yolo_v4_tiny_shapes --mode=train_and_eval --model_dir=runs/shapes
  python train.py --experiment=yolo_v4_tiny_shapes --mode=eval --model_dir=runs/shapes
  python train.py --experiment=yolo_v4_tiny_shapes --mode=train --model_dir=runs/mine \\
    --config_file=mine.yaml --params_override=trainer.train_steps=500,runtime.num_gpus=1

SIGTERM and Ctrl-C: the running loop ends and a checkpoint is saved; a second one exits at once.
exit codes: 0 done, 1 a loss or metric was not finite, 2 a mistake in flags, settings or data,
130 after Ctrl-C, 143 after SIGTERM"""


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command with the arguments `argv` (None: the process's) and returns its exit code."""
  flags = _parse(argv)
  files = {path: yaml_files.read(path) for path in flags.config_file}
  if not flags.list_experiments:
    check_model_dir(flags.model_dir, flags.mode)
  # From here on TensorFlow is loaded, which takes seconds.
  from official.training import environment

  environment.quiet()
  import projects.registry  # noqa: F401
  from official.training import settings

  if flags.list_experiments:
    print("\n".join(settings.registered()))
    return 0
  settings.read_gin(flags.gin_file, flags.gin_params)
  params = settings.experiment(flags.experiment)
  for path, values in files.items():
    settings.override(params, values, path)
  settings.override(params, _flag_settings(flags), "flags")
  settings.override(params, settings.parse_override(flags.params_override), "--params_override")
  return _run(params, flags.mode, flags.model_dir)


def _run(params: "config_definitions.ExperimentConfig", mode: str, model_dir: str) -> int:
  import tensorflow as tf

  from official.core import task_factory
  from official.training import checks, environment, record
  from official.training.divergence import Diverged
  from official.training.interruption import Interrupted, Interruption
  from official.training.runner import ExperimentRunner

  checks.check(params, mode)
  strategy = environment.prepare(params)
  checks.check_replicas(params, mode, strategy.num_replicas_in_sync)
  records = "train" in mode and strategy.extended.should_checkpoint
  if records:
    record.save(params, model_dir)
  try:
    with Interruption() as interruption:
      with strategy.scope():
        task = task_factory.get_task(params.task, logging_dir=model_dir)
      if records and hasattr(task, "categories"):
        record.save_categories(task.categories(params.task.train_data), model_dir)
      ExperimentRunner(strategy, task, mode, params, model_dir, interruption).run()
  except Interrupted as stop:
    print(stop, file=sys.stderr)
    return stop.exit_code
  except tf.errors.DataLossError as error:
    reason = next((line for line in error.message.splitlines() if "record" in line), "")
    raise UserError(f"an input file is damaged ({reason}); convert the data again") from error
  except Diverged as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  return 0


def _flag_settings(flags: argparse.Namespace) -> dict[str, Any]:
  """What --tpu and --tf_data_service override; before --params_override, as in TFMG."""
  values = {}
  if flags.tpu is not None:
    values["runtime"] = {"tpu": flags.tpu}
  if flags.tf_data_service:
    service = {"tf_data_service_address": flags.tf_data_service}
    values["task"] = {"train_data": service, "validation_data": service}
  return values


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
  parser = Parser(_DESCRIPTION, _EXAMPLES, prog="train.py")
  parser.add_argument("--experiment", metavar="NAME", help="a registered experiment")
  parser.add_argument("--mode", choices=_MODES, help="what to do")
  parser.add_argument("--model_dir", metavar="DIR", help="checkpoints, summaries, params.yaml")
  parser.add_argument(
    "--config_file",
    metavar="FILE",
    action="append",
    default=[],
    help="YAML or JSON settings; may be given again, the last wins",
  )
  parser.add_argument(
    "--params_override",
    metavar="SETTINGS",
    default="",
    help="a.b=1,c=2 or YAML or JSON or a YAML file; wins over --config_file",
  )
  parser.add_argument(
    "--gin_file", metavar="FILE", action="append", default=[], help="gin file; may be given again"
  )
  parser.add_argument(
    "--gin_params", metavar="BINDING", action="append", default=[], help="gin binding; ditto"
  )
  parser.add_argument("--tpu", metavar="NAME", help="name or grpc:// address of the TPU")
  parser.add_argument("--tf_data_service", metavar="ADDRESS", help="grpc:// address for tf.data")
  parser.add_argument(
    "--list_experiments", action="store_true", help="print the registered experiments and exit"
  )
  flags = parser.parse_args(argv)
  missing = [f"--{name}" for name in ("experiment", "mode", "model_dir") if not vars(flags)[name]]
  if missing and not flags.list_experiments:
    parser.error(f"required: {', '.join(missing)}")
  return flags


if __name__ == "__main__":
  app.run(main)
