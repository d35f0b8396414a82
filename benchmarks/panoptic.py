"""Panoptic quality: ours beside hotcoco and, where it can be imported, panopticapi.

Maps of 640x480 with 30 segments, and the real ones where they lie beside a developer's checkout;
predictions are the same with borders moved. The others read PNGs and JSON, so ours is measured both
with the reading of the same PNGs and without, as an evaluation during training uses it. CPU
milliseconds an image, one process.
"""

import contextlib
import importlib.util
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hotcoco.panoptic
import numpy as np
from PIL import Image

from official.datasets.masks import read_panoptic
from official.evaluation.panoptic import PanopticMap, PanopticQuality

_SAMPLE = Path(__file__).resolve().parents[1].parent / "shared/data/coco_sample"
_SIZE, _SEGMENTS, _IMAGES, _CLASSES, _THINGS = (480, 640), 30, 40, 133, 80

Pairs = list[tuple[PanopticMap, PanopticMap]]


def main() -> None:
  """Makes the maps, runs every side and prints the table."""
  _print("generated 640x480", [_cells(np.random.default_rng(i)) for i in range(_IMAGES)])
  if _SAMPLE.is_dir():
    _print("coco_sample", list(_real()) * (_IMAGES // 2))


def _print(name: str, pairs: Pairs) -> None:
  with tempfile.TemporaryDirectory() as folder:
    sides = zip(("truth", "found"), zip(*pairs, strict=True), strict=True)
    files = [_write(Path(folder), side, maps) for side, maps in sides]
    runs = {
      "ours": lambda: _ours(pairs),
      "ours, from PNGs": lambda: _ours(_read(pairs, files)),
      "hotcoco": lambda: hotcoco.panoptic.pq_compute(*map(str, files))["All"]["pq"],
    }
    if importlib.util.find_spec("panopticapi"):
      runs["panopticapi"] = lambda: _panopticapi(files)
    print(f"panoptic quality, {len(pairs)} images ({name}); CPU milliseconds an image")
    for side, run in runs.items():
      milliseconds, quality = _measure(run, len(pairs))
      print(f"  {side:16} {milliseconds:6.2f}   PQ {quality:.15f}")


def _measure(run: Callable[[], float], images: int) -> tuple[float, float]:
  began = time.process_time()
  with contextlib.redirect_stdout(io.StringIO()):
    quality = run()
  return 1000 * (time.process_time() - began) / images, quality


def _ours(pairs: Pairs) -> float:
  quality = PanopticQuality(np.arange(_CLASSES) < _THINGS)
  for image_id, pair in enumerate(pairs):
    quality.add(image_id, *pair)
  return quality.evaluate()["PQ"]


def _read(pairs: Pairs, files: list[Path]) -> Pairs:
  def read(file: Path, row: int, given: PanopticMap) -> PanopticMap:
    ids = read_panoptic(file.with_suffix("") / f"{row}.png", *given.ids.shape)
    return PanopticMap(ids, given.segments, given.classes, given.is_crowd)

  return [
    tuple(read(file, row, given) for file, given in zip(files, pair, strict=True))
    for row, pair in enumerate(pairs)
  ]


def _panopticapi(files: list[Path]) -> float:
  from panopticapi.evaluation import pq_compute_single_core

  contents = [json.loads(file.read_text()) for file in files]
  categories = {row["id"]: row for row in contents[0]["categories"]}
  pairs = list(zip(*(content["annotations"] for content in contents), strict=True))
  folders = (str(file.with_suffix("")) for file in files)
  statistics = pq_compute_single_core(0, pairs, *folders, categories)
  return statistics.pq_average(categories, None)[0]["pq"]


def _cells(rng: np.random.Generator) -> tuple[PanopticMap, PanopticMap]:
  """Cells around points, and a prediction: cells around points moved by a few pixels."""
  points = rng.random([_SEGMENTS, 2]) * _SIZE
  classes = rng.integers(0, _CLASSES, _SEGMENTS)
  colours = 70001 * np.arange(1, _SEGMENTS + 1, dtype=np.int32)
  truth, found = (colours[_nearest(p)] for p in (points, points + rng.normal(0, 8, points.shape)))
  crowd = rng.random(_SEGMENTS) < 0.05
  return PanopticMap(truth, colours, classes, crowd), _predicted(found, colours, classes)


def _nearest(points: np.ndarray) -> np.ndarray:
  """Which of the points [n, 2] is nearest to each pixel: [h, w]."""
  rows, columns = (np.arange(side)[:, None] for side in _SIZE)
  distances = (rows - points[:, 0])[:, None] ** 2 + (columns - points[:, 1])[None] ** 2
  return distances.argmin(-1)


def _real() -> Iterator[tuple[PanopticMap, PanopticMap]]:
  """The sample's ground truth, and the same shifted by 5 pixels."""
  for annotation in json.loads((_SAMPLE / "panoptic_examples.json").read_text())["annotations"]:
    with Image.open(_SAMPLE / "panoptic_examples" / annotation["file_name"]) as image:
      size = image.height, image.width
    ids = read_panoptic(_SAMPLE / "panoptic_examples" / annotation["file_name"], *size)
    rows = annotation["segments_info"]
    segments = np.array([row["id"] for row in rows])
    classes = np.array([row["category_id"] % _CLASSES for row in rows])
    truth = PanopticMap(ids, segments, classes, np.array([row["iscrowd"] for row in rows]))
    yield truth, _predicted(np.roll(ids, 5, axis=1), segments, classes)


def _predicted(ids: np.ndarray, segments: np.ndarray, classes: np.ndarray) -> PanopticMap:
  seen = np.isin(segments, ids)
  return PanopticMap(ids, segments[seen], classes[seen])


def _write(folder: Path, name: str, maps: tuple[PanopticMap, ...]) -> Path:
  """One side's maps as COCO's panoptic JSON and PNGs; the path of the JSON."""
  path = folder / f"{name}.json"
  path.with_suffix("").mkdir()
  rows = [_annotation(path.with_suffix(""), row, given) for row, given in enumerate(maps)]
  sizes = [dict(zip(("height", "width"), given.ids.shape, strict=True)) for given in maps]
  content = {
    "images": [{"id": row, **size} for row, size in enumerate(sizes)],
    "annotations": rows,
    "categories": [{"id": i, "name": str(i), "isthing": int(i < _THINGS)} for i in range(_CLASSES)],
  }
  path.write_text(json.dumps(content))
  return path


def _annotation(folder: Path, row: int, given: PanopticMap) -> dict[str, object]:
  colours = np.stack([given.ids >> shift & 255 for shift in (0, 8, 16)], -1).astype(np.uint8)
  Image.fromarray(colours).save(folder / f"{row}.png")
  crowd = np.zeros(len(given.segments)) if given.is_crowd is None else given.is_crowd
  columns = (np.asarray(each).tolist() for each in (given.segments, given.classes, crowd))
  segments = [
    {
      "id": segment,
      "category_id": label,
      "iscrowd": int(is_crowd),
      "area": int((given.ids == segment).sum()),
      "bbox": [0, 0, 1, 1],
    }
    for segment, label, is_crowd in zip(*columns, strict=True)
  ]
  return {"image_id": row, "file_name": f"{row}.png", "segments_info": segments}


if __name__ == "__main__":
  main()
