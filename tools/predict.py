"""Runs a trained network on image files: pictures, and results in COCO's formats."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from official.cli import app
from official.cli.arguments import Parser
from official.cli.errors import UserError
from official.cli.progress import Progress
from tools import predict_network, predict_outputs

if TYPE_CHECKING:
  import numpy as np

_BATCH_SIZE = 8
_DESCRIPTION = f"""\
Detects objects in images, or segments them, with a trained network, in float32. Draws each image
to OUT/NAME.jpg: boxes with class names and scores, or segments with a legend. Results are in COCO's
formats: detections in OUT/{predict_outputs.DETECTIONS}; segments in OUT/{predict_outputs.SEGMENTS},
and their maps in OUT/{predict_outputs.MAPS}/. Category ids are those of the training data; image
ids are the files' names where all of them are numbers, as COCO's are, else 1, 2, …

Of a run's folder, the best checkpoint is used, else the newest one, with averaged weights where the
experiment averages: what evaluations see. Settings are the experiment's defaults, then the run's
params.yaml, then --params_override. Class names are what the run recorded, else the data's.

Networks that Darknet trained are read with --imported; their category ids are class numbers."""
_EXAMPLES = """\
  python -m tools.predict --experiment=yolo_v4_tiny_shapes --checkpoint=runs/shapes \\
    --output=runs/shapes/predictions data/shapes/images/val
  python -m tools.predict --experiment=yolo_v4_csp_coco --checkpoint=runs/coco/ckpt-50000 \\
    --output=out --score_threshold=0.5 'photos/**/*.jpg' dog.png
  python -m tools.predict --experiment=maskformer_tiny_shapes --checkpoint=runs/maskformer \\
    --output=out photos
  python -m tools.predict --exported=exported --output=out photos
  python -m tools.predict --imported yolov4-tiny.cfg yolov4-tiny.weights --names=coco.names \\
    --output=out dog.jpg

exit codes: 0 done, 2 a mistake in flags or settings, or some of the images could not be read
(they are named, and the others are done); results hold what is at or above --score_threshold:
for COCO's AP, give 0"""


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command with `argv` (None: the command line) and returns its exit code."""
  arguments = _parse(argv)
  predict_network.check(arguments)
  from official.serving import image_files

  paths = image_files.find(arguments.images)
  pictures = _picture_paths(paths, arguments.output)
  # From here on TensorFlow is loaded, which takes seconds.
  from official.training import environment

  environment.quiet()
  network = predict_network.network(arguments, min(_BATCH_SIZE, len(paths)))
  print(f"predicting with {network.source}", file=sys.stderr)
  return _predict(arguments, network, dict(zip(paths, pictures, strict=True)))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
  parser = Parser(_DESCRIPTION, _EXAMPLES, prog="predict")
  add = parser.add_argument
  add("--experiment", metavar="NAME", help="the experiment that was trained")
  add("--checkpoint", metavar="DIR", help="a run's folder, or one checkpoint of it")
  add(
    "--imported",
    nargs=2,
    metavar=("NET.cfg", "NET.weights"),
    help="instead of both: a network of Darknet's, with its own resizing and suppression",
  )
  add(
    "--exported",
    type=Path,
    metavar="DIR",
    help="instead of both: a folder of LiteRT files that tools.export wrote",
  )
  add("--names", type=Path, metavar="FILE", help="class names of --imported, one a line")
  add("--output", required=True, type=Path, metavar="OUT", help="folder to write to")
  add(
    "--score_threshold",
    type=float,
    default=0.3,
    metavar="S",
    help="leave out detections or segments with a score below, 0..1 [0.3]",
  )
  add(
    "--params_override",
    metavar="SETTINGS",
    default="",
    help="a.b=1,c=2 or YAML or JSON or a YAML file, as for train.py",
  )
  add("images", nargs="+", metavar="IMAGE", help="image files, folders of them, or patterns")
  return parser.parse_args(argv)


def _picture_paths(paths: Sequence[Path], output: Path) -> list[Path]:
  """Where each image's picture goes; never onto an image itself, nor onto one another."""
  taken, pictures = {path.resolve() for path in paths}, []
  for path in paths:
    picture, number = output / f"{path.stem}.jpg", 1
    if picture.resolve() == path.resolve():
      raise UserError(f"--output {output} would overwrite {path}: name another folder")
    while picture.resolve() in taken:
      number += 1
      picture = output / f"{path.stem}-{number}.jpg"
    taken.add(picture.resolve())
    pictures.append(picture)
  return pictures


def _predict(
  arguments: argparse.Namespace, network: predict_network.Network, pictures: dict[Path, Path]
) -> int:
  """Predicts on every image that can be read; the exit code tells whether that was all of them."""
  from official.serving import results

  ids = dict(zip(pictures, results.image_ids(list(pictures)), strict=True))
  output = network.output(arguments.output, network.categories, arguments.score_threshold)
  failures: list[str] = []
  with Progress("predicting", len(pictures), "images") as progress:
    for batch in _batches(list(pictures), failures, progress):
      found = network.predict(list(batch.values()))
      for (path, image), each in zip(batch.items(), found, strict=True):
        output.add(image, each, predict_outputs.Names(ids[path], path.name, pictures[path]))
  output.write()
  for failure in failures:
    print(f"left out: {failure}", file=sys.stderr)
  print(
    f"{arguments.output}: {output.count} {output.noun} in {len(pictures) - len(failures)} images, "
    f"{len(failures)} left out"
  )
  return 2 if failures else 0


def _batches(
  paths: Sequence[Path], failures: list[str], progress: Progress
) -> "Iterator[dict[Path, np.ndarray]]":
  """Images by path, up to a batch of them at a time; what cannot be read goes to `failures`."""
  from official.serving import image_files

  for start in range(0, len(paths), _BATCH_SIZE):
    batch, chunk = {}, paths[start : start + _BATCH_SIZE]
    for path in chunk:
      try:
        batch[path] = image_files.read(path)
      except UserError as error:
        failures.append(str(error))
    if batch:
      yield batch
    progress.advance(len(chunk))


if __name__ == "__main__":
  app.run(main)
