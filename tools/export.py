"""Exports a trained network: as a SavedModel, or for LiteRT."""

import argparse
from collections.abc import Sequence

from official.cli import app
from official.cli.arguments import Parser
from official.cli.errors import UserError
from projects import dossiers
from tools import predict_network

_DESCRIPTION = """\
Writes a trained network in one of these formats:
  saved_model  a SavedModel whose signature `serving_default` takes the bytes of one JPEG or PNG
  lite         YOLO: LiteRT files in float32, which `predict --exported` reads
  lite_int8    YOLO: the same with the network in 8-bit integers, whose ranges are found by 100
               images of the training data

Of a run's folder, the best checkpoint is used, else the newest one. Settings are the experiment's
defaults, then the run's params.yaml, then --params_override."""
_EXAMPLES = """\
  python -m tools.export --experiment=maskformer_tiny_shapes --checkpoint=runs/maskformer \\
    --output=exported
  python -m tools.export --experiment=yolo_v4_tiny_shapes --checkpoint=runs/shapes \\
    --format=lite_int8 --output=exported"""


def main(argv: Sequence[str] | None = None) -> None:
  """Runs the command with `argv` (None: the command line)."""
  arguments = _parse(argv)
  dossier = dossiers.of_experiment(arguments.experiment)
  if arguments.format not in dossier.exports:
    known = ", ".join(dossier.exports) or "none"
    raise UserError(f"--format {arguments.format} is none of {dossier.name}'s ({known})")
  # From here on TensorFlow is loaded, which takes seconds.
  from official.training import environment

  environment.quiet()
  run = predict_network.trained_run(arguments)
  export = dossier.exports[arguments.format]
  export(run.task, run.checkpoint, run.categories, arguments.output)
  print(f"{arguments.output}: {run.checkpoint}")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
  parser = Parser(_DESCRIPTION, _EXAMPLES, prog="export")
  add = parser.add_argument
  add("--experiment", required=True, metavar="NAME", help="the experiment that was trained")
  add("--checkpoint", required=True, metavar="DIR", help="a run's folder, or one checkpoint of it")
  add("--output", required=True, metavar="OUT", help="folder to write to")
  add("--format", default="saved_model", metavar="FORMAT", help="see above [%(default)s]")
  add("--params_override", default="", metavar="SETTINGS", help="as for train.py")
  return parser.parse_args(argv)


if __name__ == "__main__":
  app.run(main)
