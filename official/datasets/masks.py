"""Segmentations: COCO's polygons, run lengths and panoptic PNGs as pixel masks."""

import functools
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as mask_api

from official.datasets.annotations import Category, Panoptic
from official.datasets.problems import BadInput

_THING_SEMANTIC_ID = 1
_STUFF_OFFSET = 90  # TFMG's semantic mask holds a stuff category's id less this.
MAX_SEGMENTS = 255
_UNKNOWN = 65535
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_LEVEL = 3


def encode_png(mask: np.ndarray) -> bytes:
  """A uint8 array [h, w] as a grey PNG.

  Rows are stored unfiltered: for masks that is as small as what Pillow's choice among five filters
  for each row finds, and several times faster.
  """
  height, width = mask.shape
  rows = np.zeros((height, width + 1), np.uint8)  # Each row begins with its filter, 0 for none.
  rows[:, 1:] = mask
  header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)  # 8 bits, grey.
  chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, _PNG_LEVEL)), (b"IEND", b""))
  return _PNG_SIGNATURE + b"".join(_png_chunk(name, data) for name, data in chunks)


def _png_chunk(name: bytes, data: bytes) -> bytes:
  body = name + data
  return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def decode_segmentation(segmentation: Any, height: int, width: int) -> np.ndarray:
  """The mask of an annotation's `segmentation`: uint8 [h, w], 0 or 1.

  Args:
    segmentation: a list of polygons [x1, y1, x2, y2, ...], or run lengths {"size", "counts"},
      compressed or not.
    height: of the image, in pixels.
    width: of the image, in pixels.

  Raises:
    BadInput: when it is malformed or made for an image of another size.
  """
  if isinstance(segmentation, dict):
    return mask_api.decode(_run_lengths(segmentation, height, width))
  if not isinstance(segmentation, list) or not segmentation:
    raise BadInput("the segmentation is neither polygons nor run lengths")
  for polygon in segmentation:
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
      raise BadInput("a polygon of the segmentation has no three points")
    points = np.asarray(polygon)
    if points.ndim != 1 or points.dtype.kind not in "if" or not np.isfinite(points).all():
      raise BadInput("a polygon of the segmentation holds something else than numbers")
  return mask_api.decode(mask_api.merge(mask_api.frPyObjects(segmentation, height, width)))


def _run_lengths(segmentation: dict[str, Any], height: int, width: int) -> Any:
  size, counts = segmentation.get("size"), segmentation.get("counts")
  if size != [height, width]:
    raise BadInput(f"the mask's size {size} is not the image's, [{height}, {width}]")
  if isinstance(counts, str):
    return {"size": size, "counts": counts.encode()}
  if not isinstance(counts, list) or not all(isinstance(n, int) and n >= 0 for n in counts):
    raise BadInput("the run lengths are neither a string nor a list of counts")
  if sum(counts) != height * width:
    raise BadInput(f"the run lengths cover {sum(counts)} pixels of {height * width}")
  return mask_api.frPyObjects(segmentation, height, width)


def read_panoptic(path: Path, height: int, width: int) -> np.ndarray:
  """The segment ids of a panoptic PNG: uint32 [h, w], R + 256 G + 65536 B.

  Raises:
    BadInput: when the file is missing, broken, not RGB or of another size.
  """
  try:
    with Image.open(path) as image:
      if image.size != (width, height):
        raise BadInput(
          f"the mask {path} is {image.width}x{image.height}, the image {width}x{height}"
        )
      if image.mode != "RGB":
        raise BadInput(f"the mask {path} is {image.mode}, not RGB")
      padded = np.frombuffer(image.tobytes("raw", "RGBX"), "<u4")
  except (OSError, SyntaxError, ValueError) as error:
    raise BadInput(f"cannot read the mask {path}: {error}") from error
  return (padded & 0xFFFFFF).reshape(height, width)


def panoptic_masks(
  places: np.ndarray, panoptic: Panoptic, categories: dict[int, Category]
) -> dict[str, np.ndarray]:
  """TFMG's three masks of a panoptic annotation, each uint8 [h, w], void 0.

  Args:
    places: of `segment_places`.
    panoptic: the annotation.
    categories: the table, by category id; one that `fits_masks`.

  Returns:
    `category`: the category's id; `instance`: for things the segment's place in the annotation,
    from 1, for stuff 0; `semantic`: 1 for things, the category's id less 90 for stuff.
  """
  category, instance, semantic = np.zeros((3, len(panoptic.segments) + 1), np.uint8)
  for place, segment in enumerate(panoptic.segments, 1):
    thing = categories[segment.category_id].isthing
    category[place] = segment.category_id
    instance[place] = place if thing else 0
    semantic[place] = _THING_SEMANTIC_ID if thing else segment.category_id - _STUFF_OFFSET
  tables = {"category": category, "instance": instance, "semantic": semantic}
  return {name: table.take(places) for name, table in tables.items()}


def fits_masks(categories: Iterable[Category]) -> bool:
  """Whether TFMG's masks can hold these: ids up to 255, of stuff (as COCO's) from 91."""
  return all((1 if c.isthing else _STUFF_OFFSET + 1) <= c.id <= 255 for c in categories)


def segment_places(ids: np.ndarray, panoptic: Panoptic) -> np.ndarray:
  """For each pixel the place of its segment in the annotation, from 1; 0 is void; uint8 [h, w].

  Args:
    ids: the segment id of each pixel, uint32 [h, w].
    panoptic: the annotation.

  Raises:
    BadInput: when pixels and annotation do not name the same segments, or there are too many.
  """
  colours = [segment.id for segment in panoptic.segments]
  if not all(0 < colour < 1 << 24 for colour in colours):
    raise BadInput("a segment's id is not a colour, 1 to 2^24 - 1")
  check_count(len(colours))
  table = _colour_table()
  table[colours] = np.arange(1, len(colours) + 1)
  places = table[ids]
  table[colours] = _UNKNOWN
  if (places == _UNKNOWN).any():
    raise BadInput(f"the mask has a segment {ids[places == _UNKNOWN][0]} that is not annotated")
  empty = np.flatnonzero(np.bincount(places.ravel(), minlength=len(colours) + 1)[1:] == 0)
  if len(empty):
    raise BadInput(f"segment {colours[empty[0]]} has no pixel in the mask")
  return places.astype(np.uint8)


def check_count(segments: int) -> None:
  """Raises `BadInput` where an image has more segments than eight bits can name beside void."""
  if segments > MAX_SEGMENTS:
    raise BadInput(f"{segments} segments; a record holds {MAX_SEGMENTS}")


@functools.cache
def _colour_table() -> np.ndarray:
  """A place for each of the 2^24 colours, all unknown but void; filled and cleared for each image.

  One look-up a pixel is several times faster than a comparison a segment or a sort.
  """
  table = np.full(1 << 24, _UNKNOWN, np.uint16)
  table[0] = 0
  return table
