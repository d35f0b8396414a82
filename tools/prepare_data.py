"""Prepares data sets: the built-in shapes, COCO-style annotations, images with label files."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from official.cli.app import run
from official.cli.arguments import Parser
from tools import prepare_labels

if TYPE_CHECKING:
  from official.datasets.records import Sidecar

_SHAPES_EXAMPLES = """\
  python -m tools.prepare_data shapes --output data/shapes
  python -m tools.prepare_data shapes --output data/big --train 20000 --val 1000 --size 256 --seed 7
"""
_COCO_EXAMPLES = """\
  python -m tools.prepare_data coco --images coco/val2017 \\
    --instances coco/annotations/instances_val2017.json --output data/coco/val --shards 8
  python -m tools.prepare_data coco --images coco/train2017 --on-error skip \\
    --instances coco/annotations/instances_train2017.json \\
    --panoptic coco/annotations/panoptic_train2017.json \\
    --panoptic-masks coco/annotations/panoptic_train2017 --output data/coco/train --shards 256
"""
_TFDS_EXAMPLES = """\
  python -m tools.prepare_data tfds --images coco/train2017 coco/val2017 \\
    --instances coco/annotations/instances_{train,val}2017.json --splits train validation \\
    --output ~/tensorflow_datasets --name my_coco
  then in Python: tfds.load("my_coco", split="train", data_dir="~/tensorflow_datasets")
"""
_COCO_NOTES = """\
Writes PREFIX-00000-of-0000N.tfrecord and so on, PREFIX.json (categories, counts, what was left
out) and PREFIX.manifest.json. A run that was broken off goes on where it stopped; run again on the
same input it does nothing. With --panoptic alone, the thing segments give the boxes.

Checked: the JSON, ids, categories, boxes (up to one pixel outside the image is clipped), image
headers, sizes and ends, mask sizes, and that masks and annotations name the same segments."""


def main() -> None:
  """Parses the command line and runs the subcommand."""
  arguments = _parser().parse_args()
  arguments.command(arguments)


def _parser() -> Parser:
  parser = Parser(
    "Prepare data sets for training.",
    _SHAPES_EXAMPLES + _COCO_EXAMPLES + _TFDS_EXAMPLES + prepare_labels.EXAMPLES,
    prog="prepare_data",
  )
  commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
  _add_shapes(commands)
  _add_coco(commands)
  _add_tfds(commands)
  for command in prepare_labels.COMMANDS:
    _add_labels(commands, command)
  return parser


def _add_shapes(commands: "argparse._SubParsersAction[Parser]") -> None:
  parser = commands.add_parser(
    "shapes",
    help="make the built-in data set",
    description="Make the built-in data set: a COCO-style folder, and TFRecords of it.",
    examples=_SHAPES_EXAMPLES,
  )
  parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where to write")
  parser.add_argument("--train", type=int, default=2000, metavar="N", help="training images [2000]")
  parser.add_argument("--val", type=int, default=200, metavar="M", help="held-out images [200]")
  parser.add_argument("--size", type=int, default=160, metavar="S", help="height and width [160]")
  parser.add_argument("--seed", type=int, default=0, metavar="K", help="same seed, same bytes [0]")
  _add_workers(parser)
  parser.set_defaults(command=_shapes)


def _add_coco(commands: "argparse._SubParsersAction[Parser]") -> None:
  parser = commands.add_parser(
    "coco",
    help="convert COCO-style annotations to TFRecords",
    description=f"Convert COCO-style annotations to sharded TFRecords.\n\n{_COCO_NOTES}",
    examples=_COCO_EXAMPLES,
  )
  add = parser.add_argument
  add("--images", type=Path, required=True, metavar="DIR", help="directory of the images")
  add("--instances", type=Path, metavar="FILE", help="instances JSON: the objects")
  add("--panoptic", type=Path, metavar="FILE", help="panoptic JSON")
  add("--panoptic-masks", type=Path, metavar="DIR", help="directory of the panoptic PNGs")
  add("--output", type=Path, required=True, metavar="PREFIX", help="prefix of the files to write")
  add("--shards", type=int, required=True, metavar="N", help="number of files")
  add("--masks", action="store_true", help="write the objects' masks too")
  _add_on_error(parser)
  _add_workers(parser)
  parser.set_defaults(command=_coco)


def _add_tfds(commands: "argparse._SubParsersAction[Parser]") -> None:
  parser = commands.add_parser(
    "tfds",
    help="convert COCO-style annotations to a TFDS data set",
    description="Convert COCO-style annotations to a TFDS data set with coco/2017's features.\n\n"
    "One directory and one file for each split, in the same order. With --panoptic, the features "
    "of\ncoco/2017_panoptic too.",
    examples=_TFDS_EXAMPLES,
  )
  add = parser.add_argument
  add("--images", type=Path, nargs="+", required=True, metavar="DIR", help="images of each split")
  add("--instances", type=Path, nargs="+", required=True, metavar="FILE", help="instances JSON")
  add("--panoptic", type=Path, nargs="+", default=[], metavar="FILE", help="panoptic JSON")
  add("--panoptic-masks", type=Path, nargs="+", default=[], metavar="DIR", help="panoptic PNGs")
  add("--splits", nargs="+", default=["train"], metavar="NAME", help="names of the splits [train]")
  add("--output", type=Path, required=True, metavar="DATA_DIR", help="TFDS's data directory")
  add("--name", required=True, metavar="NAME", help="name of the data set, such as my_coco")
  _add_on_error(parser)
  parser.set_defaults(command=_tfds)


def _add_labels(
  commands: "argparse._SubParsersAction[Parser]", command: prepare_labels.Command
) -> None:
  parser = commands.add_parser(
    command.name,
    help=command.help,
    description=f"{command.description}\n\n{prepare_labels.NOTES}",
    examples=command.examples,
  )
  prepare_labels.add_arguments(parser, command)
  _add_on_error(parser)
  _add_workers(parser)
  parser.set_defaults(command=lambda arguments: _labels(command, arguments))


def _add_on_error(parser: Parser) -> None:
  parser.add_argument(
    "--on-error",
    choices=("stop", "skip"),
    default="stop",
    help="at bad input: stop with exit code 2, or leave it out and list it at the end [stop]",
  )


def _add_workers(parser: Parser) -> None:
  cores = os.cpu_count() or 1
  parser.add_argument(
    "--workers", type=int, default=cores, metavar="K", help=f"processes [{cores}, the cores]"
  )


def _shapes(arguments: argparse.Namespace) -> None:
  from official.datasets.shapes import Shapes, make_shapes

  shapes = Shapes(
    output=arguments.output,
    train=arguments.train,
    val=arguments.val,
    size=arguments.size,
    seed=arguments.seed,
    workers=arguments.workers,
  )
  for split, sidecar in make_shapes(shapes).items():
    _report(arguments.output / split, sidecar)


def _coco(arguments: argparse.Namespace) -> None:
  from official.datasets.convert import Conversion, convert

  conversion = Conversion(
    images=arguments.images,
    output=arguments.output,
    shards=arguments.shards,
    instances=arguments.instances,
    panoptic=arguments.panoptic,
    panoptic_masks=arguments.panoptic_masks,
    masks=arguments.masks,
    workers=arguments.workers,
    stop=arguments.on_error == "stop",
  )
  _report(arguments.output, convert(conversion))


def _tfds(arguments: argparse.Namespace) -> None:
  from absl import logging

  from official.datasets.tfds_coco import CocoFolder, build

  logging.set_verbosity(logging.ERROR)  # TFDS warns of a directory that is about to be made.
  folders = CocoFolder.pair(
    arguments.splits,
    arguments.images,
    arguments.instances,
    arguments.panoptic,
    arguments.panoptic_masks,
  )
  stop = arguments.on_error == "stop"
  built = build(arguments.name, folders, arguments.output, stop)
  for line in built.skipped:
    print(f"left out: {line}")
  counts = ", ".join(f"{count} in {split}" for split, count in built.examples.items())
  print(f"{built.directory}: examples: {counts}; {len(built.skipped)} left out")


def _labels(command: prepare_labels.Command, arguments: argparse.Namespace) -> None:
  from official.datasets import segmentation, writing

  output = writing.Output(
    arguments.output, arguments.shards, arguments.workers, arguments.on_error == "stop"
  )
  _report(arguments.output, segmentation.convert(command.layout(arguments), output))


def _report(prefix: Path, sidecar: "Sidecar") -> None:
  for line in sidecar.skipped:
    print(f"left out: {line}")
  print(
    f"{prefix}: {sum(sidecar.examples)} examples with {sidecar.boxes} objects "
    f"in {len(sidecar.examples)} files, {len(sidecar.skipped)} left out"
  )


if __name__ == "__main__":
  run(main)
