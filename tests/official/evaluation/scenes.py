"""Panoptic ground truth and predictions: real maps disturbed, and random ones."""

import json
from typing import NamedTuple

import numpy as np
from PIL import Image

from official.evaluation.panoptic import PanopticMap

THINGS = np.arange(133) < 80  # COCO's classes, things first.


class Scene(NamedTuple):
  truth: PanopticMap
  found: PanopticMap


def real_maps(root):
  """The ground truth of COCO's two sample images."""
  annotations = json.loads((root / "panoptic_examples.json").read_text())["annotations"]
  table = json.loads((root / "panoptic_coco_categories.json").read_text())
  order = sorted(table, key=lambda row: (not row["isthing"], row["id"]))
  classes = {row["id"]: place for place, row in enumerate(order)}
  for annotation in annotations:
    colours = np.asarray(Image.open(root / "panoptic_examples" / annotation["file_name"]))
    ids = (colours.astype(np.int32) @ np.array([1, 256, 65536])).astype(np.int32)
    rows = annotation["segments_info"]
    for row in rows:  # panopticapi takes areas from the file, we count pixels.
      assert row["area"] == (ids == row["id"]).sum()
    labels = [classes[row["category_id"]] for row in rows]
    yield PanopticMap(ids, [row["id"] for row in rows], labels, [row["iscrowd"] for row in rows])


def disturb(rng, truth, kind):
  """A prediction: the truth with some of its segments changed, under new ids."""
  ids, segments = np.zeros_like(truth.ids), {}

  def put(mask, label):
    if mask.any():
      segments[place := len(segments) * 3 + 2] = label
      ids[mask] = place

  previous = None
  for segment, label in zip(truth.segments, truth.classes, strict=True):
    mask = truth.ids == segment
    touched = rng.random() < 0.5
    if touched and kind == "dropped":
      continue
    if touched and kind == "relabelled":
      label = int(rng.integers(0, 133))
    if touched and kind == "shifted":
      mask = np.roll(mask, rng.integers(-25, 26, 2), (0, 1))
    if touched and kind == "split":
      columns = np.arange(mask.shape[1]) < rng.choice(np.nonzero(mask)[1])
      put(mask & columns, label)
      mask = mask & ~columns
    if touched and kind == "merged" and previous is not None:
      ids[mask] = previous
      continue
    put(mask, label)
    previous = max(segments)
  if kind == "on void":
    put((ids == 0) & (rng.random(ids.shape) < 0.9), int(rng.integers(0, 133)))
  kept = [segment for segment in segments if (ids == segment).any()]
  return PanopticMap(ids, kept, [segments[segment] for segment in kept])


KINDS = ("same", "dropped", "relabelled", "shifted", "split", "merged", "on void")


def random_scene(rng, shape=(48, 64), segments=14, labels=6):
  """Cells around random points, with void, crowds, several crowds of a class, and other ids than
  places; the prediction's points are moved, its labels at times others."""
  points = rng.random([segments, 2]) * shape
  classes = rng.choice([0, 1, 2, 80, 81, 132][:labels], segments)
  crowd = rng.random(segments) < 0.3
  truth = _cells(rng, points, classes, shape, crowd)
  moved = points + rng.normal(0, 2.5, points.shape)
  kept = rng.random(segments) < 0.9
  others = rng.choice(classes, segments)
  guessed = np.where(rng.random(segments) < 0.8, classes, others)
  return Scene(truth, _cells(rng, moved[kept], guessed[kept], shape))


def _cells(rng, points, classes, shape, crowd=None):
  grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
  place = ((grid[:, :, None] - points) ** 2).sum(-1).argmin(-1)
  ids = rng.permutation(np.unique(rng.integers(1, 1 << 24, 2 * len(points))))[: len(points)]
  seen = np.isin(np.arange(len(points)), place)
  shown = seen & (rng.random(len(points)) < 0.85)
  mapped = np.where(shown, ids, 0)[place].astype(np.uint32)
  return PanopticMap(mapped, ids[shown], classes[shown], None if crowd is None else crowd[shown])


def all_scenes(root):
  """What `record_panoptic.py` shows panopticapi."""
  rng = np.random.default_rng(0)
  for truth in real_maps(root):
    for kind in KINDS:
      yield Scene(truth, disturb(rng, truth, kind))
  for _ in range(24):
    yield random_scene(rng)


def categories():
  return [{"id": place, "name": str(place), "isthing": int(THINGS[place])} for place in range(133)]


def write(scenes, folder):
  """The scenes as two panoptic JSON files with folders of PNGs: paths of ground truth and
  predictions."""
  paths = []
  for side in ("truth", "found"):
    (folder / side).mkdir()
    maps = [getattr(scene, side) for scene in scenes]
    rows = [_annotation(image, each, folder / side) for image, each in enumerate(maps)]
    sizes = [dict(zip(("height", "width"), each.ids.shape, strict=True)) for each in maps]
    images = [{"id": image, **size} for image, size in enumerate(sizes)]
    content = {"images": images, "annotations": rows, "categories": categories()}
    paths.append(folder / f"{side}.json")
    paths[-1].write_text(json.dumps(content))
  return paths


def _annotation(image, given, folder):
  colours = np.stack([given.ids >> shift & 255 for shift in (0, 8, 16)], -1).astype(np.uint8)
  Image.fromarray(colours).save(folder / f"{image}.png")
  crowd = np.zeros(len(given.segments)) if given.is_crowd is None else given.is_crowd
  rows = [
    {
      "id": int(segment),
      "category_id": int(label),
      "iscrowd": int(is_crowd),
      "area": int((given.ids == segment).sum()),
      "bbox": [0, 0, 1, 1],
    }
    for segment, label, is_crowd in zip(given.segments, given.classes, crowd, strict=True)
  ]
  return {"image_id": image, "file_name": f"{image}.png", "segments_info": rows}
