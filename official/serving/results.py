"""Detections as people and programs want them: pictures, and COCO's results JSON."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from official.cli.files import write_file
from official.datasets.annotations import Category
from official.dossiers.dossier import Detections
from official.evaluation.coco import yxyx_to_xywh
from official.reports.boxes import detections_to_boxes, draw_boxes

Rows = list[dict[str, Any]]


def above(detections: Detections, score_threshold: float) -> Detections:
  """The detections at or above a score."""
  kept = detections["scores"] >= score_threshold
  return {key: values[kept] for key, values in detections.items()}


def image_ids(paths: Sequence[Path]) -> list[int]:
  """COCO's ids of images: the numbers that are the files' names, else 1, 2, …"""
  names = [path.stem for path in paths]
  ids = [int(name) for name in names if name.isascii() and name.isdigit()]
  return ids if len(set(ids)) == len(names) else list(range(1, len(names) + 1))


def coco_rows(
  detections: Detections, categories: Sequence[Category], image_id: int, file_name: str
) -> Rows:
  """One image's detections as COCO's results format has them, with the file's name besides.

  `category_id` is the one of the category table, `bbox` left, top, width, height in pixels.
  """
  columns = (detections["classes"], yxyx_to_xywh(detections["boxes"]), detections["scores"])
  return [
    {
      "image_id": image_id,
      "file_name": file_name,
      "category_id": categories[index].id,
      "bbox": box.tolist(),
      "score": float(score),
    }
    for index, box, score in zip(*columns, strict=True)
  ]


def write_json(rows: Rows, path: Path) -> None:
  """Writes a results file, one detection a line, in one piece."""
  lines = ",\n ".join(json.dumps(row) for row in rows)
  write_file(path, f"[{lines}]\n".encode())


def write_picture(
  image: np.ndarray, detections: Detections, categories: Sequence[Category], path: Path
) -> None:
  """Draws `detections` on `image` [h, w, 3] uint8 and writes it as JPEG, in one piece."""
  names = [category.name for category in categories]
  picture = draw_boxes(image, detections_to_boxes(detections, names, score_threshold=0.0))
  buffer = io.BytesIO()
  picture.save(buffer, "JPEG", quality=92, subsampling=0)
  write_file(path, buffer.getvalue())
