"""Finds anchors that fit the boxes of a data set, and says how well they, or given ones, do."""

import argparse
import glob
from collections.abc import Iterator, Sequence

import numpy as np

from official.cli import app
from official.cli.arguments import Parser
from official.cli.errors import UserError
from official.cli.progress import Progress
from official.cli.table import print_table

_DESCRIPTION = """\
Finds anchors for a YOLO: k-means on the boxes of training records, then generations of mutations,
as ScaledYOLOv4 and YOLOv7 do. Prints them as an override for train.py, beside the variant's own."""
_EXAMPLES = """\
  python -m tools.anchors --input='data/coco/train-*.tfrecord' --variant=v7 --size=640
  python -m tools.anchors --input='data/shapes/train-*.tfrecord' --variant=v4-tiny --size=128 \\
    --generations=3000 --ratio-threshold=2"""
_LEAST = 2.0  # Pixels: boxes of which both sides are smaller teach nothing.


def main(argv: Sequence[str] | None = None) -> None:
  """Prints anchors for what `argv` (None: the command line) says."""
  arguments = _parse(argv)
  app.prepare_tensorflow()
  from projects.yolo.modeling.variants import get_variant
  from projects.yolo.ops import anchors as ops

  variant = get_variant(arguments.variant)
  own = np.array([pair for level in variant.levels for pair in variant.anchors[level]], float)
  sizes = _sizes(arguments.input, arguments.size)
  if (different := len(np.unique(sizes, axis=0))) < len(own):
    raise UserError(
      f"{arguments.input} has {different} different boxes: {arguments.variant} has {len(own)} "
      "anchors, give records of at least as many"
    )
  rng = np.random.default_rng(arguments.seed)
  means = ops.by_area(ops.cluster(sizes, len(own), rng))
  evolved, threshold = means, arguments.ratio_threshold
  with Progress("evolving", arguments.generations, "generations") as progress:
    for generation in ops.evolve(means, sizes, threshold, arguments.generations, rng):
      evolved = generation
      progress.advance()
  found = np.round(ops.by_area(evolved), 1)
  rows = [
    (name, *(f"{value:.4f}" for value in ops.quality(anchors, sizes, threshold)))
    for name, anchors in ((arguments.variant, own), ("k-means", means), ("evolved", found))
  ]
  header = ("anchors", "fitness", "boxes that one fits", "anchors a box")
  print_table(f"{len(sizes):,} boxes at {arguments.size}²", header, rows)
  numbers = ",".join(f"{side:g}" for side in found.reshape(-1))
  print(f"\n--params_override='task.model.anchors=[{numbers}]'")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
  parser = Parser(_DESCRIPTION, _EXAMPLES, prog="anchors")
  parser.add_argument("--input", required=True, metavar="GLOB", help="of training records")
  parser.add_argument("--variant", required=True, help="of which the number of anchors is")
  parser.add_argument("--size", type=int, required=True, help="side of the input in pixels")
  parser.add_argument(
    "--ratio-threshold", type=float, default=4.0, help="task.losses.ratio_threshold [%(default)s]"
  )
  parser.add_argument("--generations", type=int, default=1000, help="of mutations [%(default)s]")
  parser.add_argument("--seed", type=int, default=0, help="[%(default)s]")
  arguments = parser.parse_args(argv)
  if arguments.ratio_threshold <= 1:
    raise UserError(f"--ratio-threshold {arguments.ratio_threshold:g}: use a number above 1")
  return arguments


def _sizes(pattern: str, size: int) -> np.ndarray:
  """Width and height [n, 2] in pixels of all boxes, crowds left out, of images of `size`²."""
  found = np.array(list(_boxes(pattern, size))).reshape(-1, 2)
  return found[(found >= _LEAST).any(axis=1) & (found > 0).all(axis=1)]


def _boxes(pattern: str, size: int) -> Iterator[np.ndarray]:
  import tensorflow as tf

  from official.datasets.records import count_records, load_sidecar
  from projects.yolo.dataloaders.decoder import RecordDecoder

  sidecar = load_sidecar(pattern)
  decoder = RecordDecoder([category.id for category in sidecar.categories])
  files = sorted(glob.glob(pattern))
  with Progress("reading", sum(map(count_records, files)), "images") as progress:
    for record in tf.data.TFRecordDataset(files).map(decoder.decode).as_numpy_iterator():
      sides = record["boxes"][:, 2:] - record["boxes"][:, :2]
      pixels = sides * (record["height"], record["width"])
      scale = size / max(record["height"], record["width"])
      yield from pixels[~record["is_crowd"]][:, ::-1] * scale
      progress.advance()


if __name__ == "__main__":
  app.run(main)
