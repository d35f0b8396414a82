"""The built-in data set `shapes`, written as a real COCO-style data set and converted as one.

DIR/images/{train,val}/*.jpg, DIR/annotations/{instances,panoptic}_{train,val}.json and
DIR/annotations/panoptic_{train,val}/*.png; then DIR/{train,val}-*.tfrecord with their sidecars.
Image i of a split depends on the seed, the split and i alone.
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from official.cli.errors import UserError
from official.cli.files import write_file
from official.cli.progress import Progress
from official.datasets import pool
from official.datasets.convert import Conversion, convert
from official.datasets.records import Sidecar, sidecar_path
from official.datasets.shapes_scene import STUFF, THINGS, Scene, Thing, draw_scene

_SPLITS = ("train", "val")
_MIN_SIZE = 64
_CHUNK = 64  # Images a job.
_IMAGES_PER_SHARD, _MAX_SHARDS = 128, 16
_JPEG_QUALITY = 95
_IDS_PER_IMAGE = 100

Record = dict[str, Any]


@dataclass(frozen=True)
class Shapes:
  """What to make: images a split, their size in pixels, the seed, and the processes to use."""

  output: Path
  train: int
  val: int
  size: int
  seed: int
  workers: int

  def __post_init__(self) -> None:
    if self.size < _MIN_SIZE:
      raise UserError(f"--size {self.size} is too small to show the shapes: at least {_MIN_SIZE}")
    if min(self.train, self.val, self.workers) < 1 or self.seed < 0:
      raise UserError("--train, --val and --workers must be at least 1, --seed at least 0")


@dataclass(frozen=True)
class _Job:
  shapes: Shapes
  split: str
  first: int
  count: int


@dataclass(frozen=True)
class _Records:
  """The rows of the annotation files for some images."""

  first: int
  images: list[Record]
  objects: list[Record]
  panoptic: list[Record]


def make_shapes(shapes: Shapes) -> dict[str, Sidecar]:
  """Makes the data set and converts it; returns the sidecars by split.

  Raises:
    UserError: when the output cannot be written.
  """
  for split in _SPLITS:
    # What stands here already is about to change under them.
    for path in (*_annotation_paths(shapes, split), sidecar_path(shapes.output / split)):
      path.unlink(missing_ok=True)
  counts = {"train": shapes.train, "val": shapes.val}
  jobs = [
    _Job(shapes, split, first, min(_CHUNK, counts[split] - first))
    for split in _SPLITS
    for first in range(0, counts[split], _CHUNK)
  ]
  made: dict[str, list[_Records]] = {split: [] for split in _SPLITS}
  with Progress("drawing", sum(counts.values()), "images") as progress:
    for split, records in pool.run_jobs(_make_images, jobs, shapes.workers, progress):
      made[split].append(records)
  return {split: _finish(shapes, split, made[split], counts[split]) for split in _SPLITS}


def _finish(shapes: Shapes, split: str, made: list[_Records], count: int) -> Sidecar:
  made.sort(key=lambda records: records.first)
  _write_annotations(shapes, split, made)
  instances, panoptic = _annotation_paths(shapes, split)
  return convert(
    Conversion(
      images=_image_directory(shapes, split),
      output=shapes.output / split,
      shards=min(max(count // _IMAGES_PER_SHARD, 1), _MAX_SHARDS),
      instances=instances,
      panoptic=panoptic,
      panoptic_masks=panoptic.with_suffix(""),
      masks=True,
      workers=shapes.workers,
    )
  )


def _image_directory(shapes: Shapes, split: str) -> Path:
  return shapes.output / "images" / split


def _annotation_paths(shapes: Shapes, split: str) -> tuple[Path, Path]:
  directory = shapes.output / "annotations"
  return directory / f"instances_{split}.json", directory / f"panoptic_{split}.json"


def _write_annotations(shapes: Shapes, split: str, made: list[_Records]) -> None:
  images = [row for records in made for row in records.images]
  info = {"description": f"Transplant shapes, seed {shapes.seed}, {split}", "version": "1.0"}
  things = [_category(key, name, "shape") for key, name in THINGS.items()]
  stuff = [_category(key, name, "ground") for key, name in STUFF.items()]
  instances = {
    "info": info,
    "images": images,
    "annotations": [row for records in made for row in records.objects],
    "categories": things,
  }
  panoptic = {
    "info": info,
    "images": images,
    "annotations": [row for records in made for row in records.panoptic],
    "categories": [row | {"isthing": 1} for row in things]
    + [row | {"isthing": 0} for row in stuff],
  }
  for path, content in zip(_annotation_paths(shapes, split), (instances, panoptic), strict=True):
    write_file(path, json.dumps(content).encode())


def _category(identity: int, name: str, group: str) -> Record:
  return {"id": identity, "name": name, "supercategory": group}


def _make_images(job: _Job, tick: pool.Tick) -> tuple[str, _Records]:
  records = _Records(job.first, [], [], [])
  for index in range(job.first, job.first + job.count):
    _make_image(job.shapes, job.split, index, records)
    tick()
  return job.split, records


def _make_image(shapes: Shapes, split: str, index: int, records: _Records) -> None:
  """Draws an image, writes its files and adds its rows."""
  number = _SPLITS.index(split)
  scene = draw_scene(np.random.default_rng([shapes.seed, number, index]), shapes.size)
  identity = 3 * index + number + 1  # With gaps, and other ids in the other split.
  name = f"{identity:012d}"
  row = {"id": identity, "file_name": f"{name}.jpg", "height": shapes.size, "width": shapes.size}
  write_file(_image_directory(shapes, split) / row["file_name"], _jpeg(scene.pixels))
  objects = [_object(scene, thing, identity) for thing in scene.things]
  ids, segments = _panoptic(scene, objects)
  masks = _annotation_paths(shapes, split)[1].with_suffix("")
  write_file(masks / f"{name}.png", _png(ids))
  records.images.append(row)
  records.objects.extend(objects)
  records.panoptic.append(
    {"image_id": identity, "file_name": f"{name}.png", "segments_info": segments}
  )


def _object(scene: Scene, thing: Thing, image_id: int) -> Record:
  """A row of the instances file."""
  mask = (scene.codes == thing.code).view(np.uint8)
  return {
    "id": image_id * _IDS_PER_IMAGE + thing.code,
    "image_id": image_id,
    "category_id": thing.category_id,
    "iscrowd": int(thing.is_crowd),
    "area": int(np.count_nonzero(mask)),
    "bbox": list(cv2.boundingRect(mask)),
    "segmentation": _run_lengths(mask) if thing.is_crowd else _segmentation(mask),
  }


def _segmentation(mask: np.ndarray) -> Any:
  """Polygons along the pixels' edges; run lengths where a hole makes that impossible."""
  # On the doubled mask each edge of a pixel has boundary pixels of its own, and (p + 1) // 2 of
  # their middles is that edge.
  doubled = mask.repeat(2, axis=0).repeat(2, axis=1)
  contours, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
  if (hierarchy[0, :, 3] >= 0).any():
    return _run_lengths(mask)
  return [((contour.reshape(-1) + 1) // 2).tolist() for contour in contours]


def _run_lengths(mask: np.ndarray) -> Record:
  """Uncompressed run lengths, down the columns, beginning with those of 0."""
  flat = mask.ravel(order="F")
  edges = np.flatnonzero(np.diff(flat, prepend=0)).tolist()
  counts = np.diff([0, *edges, flat.size]).tolist()
  return {"size": list(mask.shape), "counts": counts}


def _panoptic(scene: Scene, objects: list[Record]) -> tuple[np.ndarray, list[Record]]:
  """The ids of all pixels, uint32 [s, s], and the segments: the objects, then the grounds."""
  colours = np.zeros(len(objects) + 1, np.uint32)
  keys = ("category_id", "iscrowd", "area", "bbox")
  segments = [{"id": _colour(n), **{k: o[k] for k in keys}} for n, o in enumerate(objects, 1)]
  colours[1:] = [segment["id"] for segment in segments]
  ids = colours[scene.codes]
  for category in STUFF:
    mask = ((scene.grounds == category) & (scene.codes == 0)).view(np.uint8)
    if area := int(np.count_nonzero(mask)):
      row = {"id": _colour(category), "category_id": category, "iscrowd": 0, "area": area}
      segments.append(row | {"bbox": list(cv2.boundingRect(mask))})
      ids[mask.view(bool)] = row["id"]
  return ids, segments


def _colour(number: int) -> int:
  """A 24-bit segment id that uses all three channels; different for different numbers."""
  return (number * 0x9E3779B1) % 0xFFFFFD + 1


def _jpeg(pixels: np.ndarray) -> bytes:
  out = io.BytesIO()
  Image.fromarray(pixels).save(out, "JPEG", quality=_JPEG_QUALITY)
  return out.getvalue()


def _png(ids: np.ndarray) -> bytes:
  channels = np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=-1).astype(np.uint8)
  out = io.BytesIO()
  Image.fromarray(channels).save(out, "PNG", compress_level=2)
  return out.getvalue()
