"""The commands of `prepare_data` for images with label files, semantic or panoptic."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from official.cli.arguments import Parser

NOTES = """\
Writes PREFIX-00000-of-0000N.tfrecord and so on, PREFIX.json (categories in the order of classes,
counts, what was left out) and PREFIX.manifest.json. A run that was broken off goes on where it
stopped; run again on the same input it does nothing.

Checked: the tables, image headers, sizes and ends, label sizes, and that every label is known."""

_ADE20K = """\
  python -m tools.prepare_data ade20k --root ADEChallengeData2016 --split training \\
    --output data/ade20k/train --shards 32
  python -m tools.prepare_data ade20k --root ADEChallengeData2016 --split training \\
    --instance-categories categoryMapping.txt --output data/ade20k_panoptic/train --shards 32
"""
_ADE20K_FULL = """\
  python -m tools.prepare_data ade20k-full --root ADE20K_2021_17_01 --split training \\
    --categories classes847.json --output data/ade20k_full/train --shards 32
"""
_CITYSCAPES = """\
  python -m tools.prepare_data cityscapes --root cityscapes --split train \\
    --output data/cityscapes/train --shards 16
"""
_MAPILLARY = """\
  python -m tools.prepare_data mapillary --root mapillary_vistas --split training \\
    --categories mapillary_vistas/config.json --output data/mapillary/train --shards 128
"""
_COCO_STUFF = """\
  python -m tools.prepare_data coco-stuff --root coco_stuff_10k --split train \\
    --categories labels.txt --output data/coco_stuff/train --shards 16
"""
EXAMPLES = _ADE20K + _ADE20K_FULL + _CITYSCAPES + _MAPILLARY + _COCO_STUFF


@dataclass(frozen=True)
class Command:
  """A data set: how its command is called and explained, and where its files are.

  Attributes:
    name: of the subcommand.
    help: a line.
    description: what is expected where.
    examples: whole command lines.
    root: what --root names.
    splits: the splits, as the data set's folders call them.
    table: option and help of the category table; None where the data set needs none.
    layout: finds the files of parsed arguments.
  """

  name: str
  help: str
  description: str
  examples: str
  root: str
  splits: tuple[str, str]
  table: tuple[str, str] | None
  layout: Callable[[argparse.Namespace], Any]


def add_arguments(parser: Parser, command: Command) -> None:
  """The options that all of these commands share, and the command's own."""
  add = parser.add_argument
  add("--root", type=Path, required=True, metavar="DIR", help=command.root)
  add("--split", choices=command.splits, required=True, help="which part of it")
  if command.table:
    option, text = command.table
    add(option, type=Path, required=option == "--categories", metavar="FILE", help=text)
  add("--output", type=Path, required=True, metavar="PREFIX", help="prefix of the files to write")
  add("--shards", type=int, required=True, metavar="N", help="number of files")


def _ade20k(arguments: argparse.Namespace) -> Any:
  from official.datasets import ade20k

  if table := arguments.instance_categories:
    return ade20k.panoptic(arguments.root, arguments.split, table)
  return ade20k.semantic(arguments.root, arguments.split)


def _ade20k_full(arguments: argparse.Namespace) -> Any:
  from official.datasets import ade20k

  return ade20k.full(arguments.root, arguments.split, arguments.categories)


def _cityscapes(arguments: argparse.Namespace) -> Any:
  from official.datasets import cityscapes

  return cityscapes.semantic(arguments.root, arguments.split)


def _mapillary(arguments: argparse.Namespace) -> Any:
  from official.datasets import mapillary

  return mapillary.semantic(arguments.root, arguments.split, arguments.categories)


def _coco_stuff(arguments: argparse.Namespace) -> Any:
  from official.datasets import coco_stuff

  return coco_stuff.semantic(arguments.root, arguments.split, arguments.categories)


_SPLITS = ("training", "validation")
COMMANDS = (
  Command(
    name="ade20k",
    help="convert ADE20K's scene parsing, semantic or panoptic, to TFRecords",
    description="Convert ADE20K's scene parsing (150 classes) to sharded TFRecords: semantic from "
    "images,\nannotations and objectInfo150.txt; with --instance-categories panoptic, from "
    "annotations_instance too.",
    examples=_ADE20K,
    root="the directory ADEChallengeData2016",
    splits=_SPLITS,
    table=("--instance-categories", "table of instance category and scene parsing class"),
    layout=_ade20k,
  ),
  Command(
    name="ade20k-full",
    help="convert the full ADE20K with 847 classes to TFRecords",
    description="Convert the full ADE20K, as MaskFormer's preparation leaves it "
    "(images_detectron2 and\nannotations_detectron2), to sharded TFRecords.",
    examples=_ADE20K_FULL,
    root="the directory ADE20K_2021_17_01",
    splits=_SPLITS,
    table=("--categories", "JSON list of the classes, each with name and trainId"),
    layout=_ade20k_full,
  ),
  Command(
    name="cityscapes",
    help="convert Cityscapes with 19 classes to TFRecords",
    description="Convert Cityscapes, finely annotated (leftImg8bit and gtFine/*_labelIds.png), to "
    "sharded TFRecords.",
    examples=_CITYSCAPES,
    root="the directory that holds leftImg8bit and gtFine",
    splits=("train", "val"),
    table=None,
    layout=_cityscapes,
  ),
  Command(
    name="mapillary",
    help="convert Mapillary Vistas with 65 classes to TFRecords",
    description="Convert Mapillary Vistas 1.2 (images and labels of a split) to sharded TFRecords.",
    examples=_MAPILLARY,
    root="the directory that holds training and validation",
    splits=_SPLITS,
    table=("--categories", "config.json of the data set"),
    layout=_mapillary,
  ),
  Command(
    name="coco-stuff",
    help="convert COCO-Stuff 10K with 171 classes to TFRecords",
    description="Convert COCO-Stuff 10K 1.0 (images, annotations/*.mat and imageLists) to sharded "
    "TFRecords.",
    examples=_COCO_STUFF,
    root="the directory that holds images, annotations and imageLists",
    splits=("train", "test"),
    table=("--categories", "list of labels, NUMBER: NAME a line"),
    layout=_coco_stuff,
  ),
)
