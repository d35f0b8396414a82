"""Segments as people and programs want them: pictures, and COCO's panoptic results."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from official.cli.files import write_file
from official.datasets.annotations import Category
from official.dossiers.dossier import Segmentation
from official.reports.segments import add_legend, draw_segments, found_segments

Row = dict[str, Any]


def above(found: Segmentation, score_threshold: float) -> Segmentation:
  """The segments at or above a score, numbered anew; the pixels of others belong to none."""
  kept = found.scores >= score_threshold
  numbers = np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)]).astype(np.int32)
  return Segmentation(numbers[found.ids], found.classes[kept], found.scores[kept])


def panoptic_row(
  found: Segmentation, categories: Sequence[Category], image_id: int, map_name: str
) -> Row:
  """One image's entry in COCO's panoptic results, with scores besides."""
  columns = zip(found.classes.tolist(), found.scores.tolist(), strict=True)
  segments = [
    {"id": place, "category_id": categories[index].id, "score": score}
    for place, (index, score) in enumerate(columns, 1)
  ]
  return {"image_id": image_id, "file_name": map_name, "segments_info": segments}


def write_map(found: Segmentation, path: Path) -> None:
  """Writes the segments' map as COCO has it: a PNG whose pixels are R + 256 · G + 65536 · B."""
  planes = [(found.ids >> shift) & 255 for shift in (0, 8, 16)]
  _write(Image.fromarray(np.stack(planes, -1).astype(np.uint8)), path, "PNG")


def write_json(rows: Sequence[Row], path: Path) -> None:
  """Writes a panoptic results file, an image a line, in one piece."""
  lines = ",\n ".join(json.dumps(row) for row in rows)
  write_file(path, f'{{"annotations": [{lines}]}}\n'.encode())


def write_picture(
  image: np.ndarray, found: Segmentation, categories: Sequence[Category], path: Path
) -> None:
  """Draws segments and a legend on `image` [h, w, 3] uint8 and writes it as JPEG, in one piece."""
  names = [category.name for category in categories]
  segments = found_segments(found.classes, found.scores, names)
  picture = add_legend(draw_segments(image, found.ids, segments), segments)
  _write(picture, path, "JPEG", quality=92, subsampling=0)


def _write(picture: Image.Image, path: Path, form: str, **options: Any) -> None:
  buffer = io.BytesIO()
  picture.save(buffer, form, **options)
  write_file(path, buffer.getvalue())
