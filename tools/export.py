"""Exports a trained network as a SavedModel that takes image bytes."""

import argparse
from collections.abc import Sequence

from official.cli import app
from official.cli.arguments import Parser
from official.cli.errors import UserError
from projects import dossiers
from tools import predict_network

_DESCRIPTION = """\
Writes a SavedModel whose signature `serving_default` takes the bytes of one JPEG or PNG image. Of a
run's folder, the best checkpoint is used, else the newest one. Settings are the experiment's
defaults, then the run's params.yaml, then --params_override."""
_EXAMPLES = """\
  python -m tools.export --experiment=maskformer_tiny_shapes --checkpoint=runs/maskformer \\
    --output=exported"""


def main(argv: Sequence[str] | None = None) -> None:
  """Runs the command with `argv` (None: the command line)."""
  arguments = _parse(argv)
  dossier = dossiers.of_experiment(arguments.experiment)
  if dossier.export is None:
    raise UserError(f"networks of {dossier.name} cannot be exported")
  # From here on TensorFlow is loaded, which takes seconds.
  from official.training import environment

  environment.quiet()
  run = predict_network.trained_run(arguments)
  dossier.export(run.task, run.checkpoint, run.categories, arguments.output)
  print(f"{arguments.output}: {run.checkpoint}")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
  parser = Parser(_DESCRIPTION, _EXAMPLES, prog="export")
  add = parser.add_argument
  add("--experiment", required=True, metavar="NAME", help="the experiment that was trained")
  add("--checkpoint", required=True, metavar="DIR", help="a run's folder, or one checkpoint of it")
  add("--output", required=True, metavar="OUT", help="folder to write to")
  add("--params_override", default="", metavar="SETTINGS", help="as for train.py")
  return parser.parse_args(argv)


if __name__ == "__main__":
  app.run(main)
