"""Writes an experiment's step so that JAX runs it anywhere, without TensorFlow."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from official.cli import app
from official.cli.arguments import Parser
from official.cli.errors import UserError
from official.training import yaml_files

if TYPE_CHECKING:
  from official.tpu.step import Step

_DESCRIPTION = """\
Writes the very step that Orbit runs, of one replica, as StableHLO with the values of its variables
(fresh ones, or those of --checkpoint). `python -m official.tpu.runner OUT --steps 10` runs and
times it on CPU, GPU or TPU; it needs jax, numpy and safetensors, not TensorFlow."""
_EXAMPLES = """\
  python -m tools.export_step --experiment=yolo_v4_tiny_shapes --output=runs/step --batch=4
  python -m tools.export_step --experiment=yolo_v4_tiny_coco --step=eval --output=runs/step"""


def main(argv: Sequence[str] | None = None) -> None:
  """Runs the command with `argv` (None: the command line)."""
  flags = _parse(argv)
  os.environ.setdefault("JAX_PLATFORMS", "cpu")  # Nothing is run; a TPU is not to be looked for.
  files = {path: yaml_files.read(path) for path in flags.config_file}
  # From here on TensorFlow is loaded, which takes seconds.
  from official.training import environment

  environment.quiet()
  import projects.registry  # noqa: F401
  from official.tpu import artifacts, check, lowering
  from official.tpu.step import trace
  from official.training import settings

  params = settings.experiment(flags.experiment)
  for path, values in files.items():
    settings.override(params, values, path)
  settings.override(params, settings.parse_override(flags.params_override), "--params_override")
  check.with_batch(params, flags.step, flags.batch, replicas=1)
  step = trace(params, flags.step, replicas=1)
  if flags.checkpoint:
    _restore(step, flags.checkpoint)
  try:
    program = lowering.lower(step)
  except lowering.NotLowered as error:
    raise UserError(f"XLA cannot express the step: {error} (see tools/tpu_check.py)") from error
  artifacts.write(step, program, flags.output, check.environment())
  print(f"{flags.output}: run it by `python -m official.tpu.runner {flags.output}`")


def _restore(step: "Step", path: str) -> None:
  """Puts a checkpoint's values into the step's variables."""
  from official.serving.run_folder import RunFolder

  prefix = RunFolder(path).checkpoint(best="best")
  step.trainer.checkpoint.restore(prefix).expect_partial()


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
  parser = Parser(_DESCRIPTION, _EXAMPLES, prog="export_step")
  add = parser.add_argument
  add("--experiment", required=True, metavar="NAME", help="a registered experiment")
  add("--output", required=True, metavar="DIR", type=Path, help="folder to write to")
  add("--config_file", metavar="FILE", action="append", default=[], help="as for train.py")
  add("--params_override", metavar="SETTINGS", default="", help="as for train.py")
  add("--step", choices=("train", "eval"), default="train", help="which step [train]")
  add("--batch", metavar="N", type=int, help="images [the global batch]")
  add("--checkpoint", metavar="DIR", help="a run's folder, or one checkpoint of it")
  return parser.parse_args(argv)


if __name__ == "__main__":
  app.run(main)
