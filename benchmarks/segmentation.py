"""MaskFormer's input pipelines: ours beside the original's recipe, in images per CPU second.

Each side reads the same photographs and segments in a process of its own, pinned to one core with
one thread for TensorFlow's operations; CPU seconds are the process's, after a warm-up.

`semantic` resizes the shortest side to one of sixteen sizes, cuts a square, changes colours,
mirrors and pads; `panoptic` is DETR's recipe of resizing, cropping and resizing. The original's
side is that recipe in PIL, OpenCV and NumPy, image by image up to the stack of masks: without
batches, without PyTorch's conversions. Our side ends with batches of which a step makes masks
(`targets.expand`).

The photographs are those that lie beside a developer's checkout, or of --images, brought to 640x480
with made-up segments. Without any, noise stands in for them.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from official.cli.app import prepare_tensorflow

_PHOTOGRAPHS = Path(__file__).resolve().parents[1].parent / "shared/data"
_BATCH, _WARM_UP, _SECONDS = 8, 4, 8.0
_CASES = {"semantic 512": 512, "semantic 640": 640, "panoptic 640": 640, "panoptic 1333": 1333}
_JPEG_QUALITY, _SEGMENTS, _IMAGES = 90, 20, 32
_HEIGHT, _WIDTH = 480, 640
_COCO_SIZES = list(range(480, 801, 32))


def main(images: Path) -> None:
  """Makes the data, runs every case on both sides and prints the table."""
  with tempfile.TemporaryDirectory() as directory:
    root = Path(directory)
    kind = _write(images, root)
    print(f"segmentation: {kind}, {_SEGMENTS} segments; images per CPU second")
    for case in _CASES:
      ours, theirs = (_measure(side, case, root) for side in ("ours", "original"))
      print(
        f"  {case:14} ours {ours:7.1f}   original's recipe {theirs:7.1f}   x{ours / theirs:.1f}"
      )


def _measure(side: str, case: str, root: Path) -> float:
  command = [sys.executable, "-m", "benchmarks.segmentation", "--run", side, case, str(root)]
  result = subprocess.run(command, check=True, capture_output=True, text=True)
  return json.loads(result.stdout.splitlines()[-1])


def _run_side(side: str, case: str, root: Path) -> None:
  os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
  step = {"ours": _our_step, "original": _original_step}[side](case, root)
  for _ in range(_WARM_UP):
    step()
  began, images = time.process_time(), 0
  while (spent := time.process_time() - began) < _SECONDS:
    step()
    images += _BATCH
  print(json.dumps(images / spent), flush=True)
  os._exit(0)  # Not waiting for what has been prefetched.


def _our_step(case: str, root: Path) -> Callable[[], Any]:
  prepare_tensorflow()
  import tensorflow as tf

  from projects.maskformer.configs.data import Augmentation, DataConfig, Zoom
  from projects.maskformer.dataloaders.maskformer_input import build_dataset

  tf.config.threading.set_intra_op_parallelism_threads(1)
  tf.config.threading.set_inter_op_parallelism_threads(1)
  size = _CASES[case]
  if case.startswith("semantic"):
    sizes, longest = _semantic_sizes(size), 4 * size
    augmentation = Augmentation(crop=[size, size], color=True)
  else:
    sizes, longest = _COCO_SIZES, min(size, 1333)
    augmentation = Augmentation(zoom=Zoom(probability=0.5))
  params = DataConfig(
    input_path=f"{root}/train-*.tfrecord", global_batch_size=_BATCH, is_training=True,
    output_size=[size, size], min_sizes=sizes, max_size=longest, augmentation=augmentation,
  )  # fmt: skip
  batches = iter(build_dataset(params, category_ids=range(1, _SEGMENTS + 1)))
  return lambda: next(batches)


def _original_step(case: str, root: Path) -> Callable[[], Any]:
  import cv2
  import numpy as np

  cv2.setNumThreads(1)
  size, rng = _CASES[case], np.random.default_rng(0)
  make = _semantic if case.startswith("semantic") else _panoptic
  examples = [
    tuple((root / kind / f"{n}.{form}").read_bytes() for kind, form in _FILES)
    for n in range(_IMAGES)
  ]
  return lambda: [make(*examples[rng.integers(_IMAGES)], size, rng) for _ in range(_BATCH)]


_FILES = (("images", "jpg"), ("labels", "png"), ("panoptic", "png"))


def _semantic(image: bytes, labels: bytes, panoptic: bytes, size: int, rng: Any) -> Any:
  """Resize, crop, colours, mirror, padding, a mask for each class that is there."""
  import numpy as np
  from PIL import Image

  del panoptic
  picture = Image.open(io.BytesIO(image)).convert("RGB")
  places = Image.open(io.BytesIO(labels))
  shape = _shortest_edge(picture.size[::-1], rng.choice(_semantic_sizes(size)), 4 * size)
  pixels = np.asarray(picture.resize(shape[::-1], Image.Resampling.BILINEAR))
  classes = np.asarray(places.resize(shape[::-1], Image.Resampling.NEAREST)).astype(np.float64)
  window = _window(shape, [min(size, side) for side in shape], rng)
  pixels, classes = _colours(pixels[window], rng), classes[window]
  if rng.random() < 0.5:
    pixels, classes = pixels[:, ::-1], classes[:, ::-1]
  missing = [(0, size - side) for side in classes.shape]
  pixels = np.pad(pixels, [*missing, (0, 0)], constant_values=128).transpose(2, 0, 1).copy()
  classes = np.pad(classes.astype(np.int64), missing, constant_values=255)
  there = np.unique(classes)
  return pixels, np.stack([classes == each for each in there[there != 255]])


def _panoptic(image: bytes, labels: bytes, panoptic: bytes, size: int, rng: Any) -> Any:
  """Mirror, half of the time resize and crop, resize; a mask for each segment."""
  import numpy as np
  from PIL import Image

  del labels
  pictures = [Image.open(io.BytesIO(data)).convert("RGB") for data in (image, panoptic)]
  if rng.random() < 0.5:
    pictures = [each.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for each in pictures]
  if rng.random() < 0.5:
    shape = _shortest_edge((_HEIGHT, _WIDTH), rng.choice([400, 500, 600]), 10**6)
    pictures = _resize_both(pictures, shape)
    sides = [rng.integers(min(384, side), min(600, side) + 1) for side in shape]
    rows, columns = _window(shape, sides, rng)
    box = (columns.start, rows.start, columns.stop, rows.stop)
    pictures = [each.crop(box) for each in pictures]
  shape = _shortest_edge(pictures[0].size[::-1], rng.choice(_COCO_SIZES), min(size, 1333))
  pixels, colours = (np.asarray(each) for each in _resize_both(pictures, shape))
  colours = colours.astype(np.uint32)
  ids = colours[..., 0] + 256 * colours[..., 1] + 65536 * colours[..., 2]
  masks = np.stack([ids == _colour(number) for number in range(1, _SEGMENTS + 1)])
  return pixels.transpose(2, 0, 1).copy(), masks


def _resize_both(pictures: list[Any], shape: tuple[int, int]) -> list[Any]:
  from PIL import Image

  kinds = (Image.Resampling.BILINEAR, Image.Resampling.NEAREST)
  return [each.resize(shape[::-1], kind) for each, kind in zip(pictures, kinds, strict=True)]


def _shortest_edge(shape: tuple[int, int], size: int, longest: int) -> tuple[int, int]:
  scale = min(size / min(shape), longest / max(shape))
  return int(shape[0] * scale + 0.5), int(shape[1] * scale + 0.5)


def _window(shape: Any, sides: Any, rng: Any) -> tuple[slice, slice]:
  starts = [rng.integers(whole - side + 1) for whole, side in zip(shape, sides, strict=True)]
  rows, columns = (slice(at, at + side) for at, side in zip(starts, sides, strict=True))
  return rows, columns


def _colours(pixels: Any, rng: Any) -> Any:
  """Brightness; contrast before or after saturation and hue; each half of the time, in 8 bits."""
  import cv2
  import numpy as np

  def change(levels: Any, factor: float = 1, shift: float = 0) -> Any:
    return np.clip(levels.astype(np.float32) * factor + shift, 0, 255).astype(np.uint8)

  def saturate_and_turn(pixels: Any) -> Any:
    for channel in (1, 0):
      if rng.random() < 0.5:
        hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
        if channel:
          hsv[..., 1] = change(hsv[..., 1], rng.uniform(0.5, 1.5))
        else:
          hsv[..., 0] = (hsv[..., 0].astype(int) + rng.integers(-18, 19)) % 180
        pixels = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return pixels

  def contrast(pixels: Any) -> Any:
    return change(pixels, rng.uniform(0.5, 1.5)) if rng.random() < 0.5 else pixels

  pixels = change(pixels, shift=rng.uniform(-32, 32)) if rng.random() < 0.5 else pixels
  if rng.random() < 0.5:
    return saturate_and_turn(contrast(pixels))
  return contrast(saturate_and_turn(pixels))


def _semantic_sizes(size: int) -> list[int]:
  return [int(step * 0.1 * size) for step in range(5, 21)]


def _colour(number: int) -> int:
  return number * 7919


def _write(images: Path, root: Path) -> str:
  """Writes JPEGs, labels, panoptic PNGs and records of them; returns what the JPEGs are."""
  import numpy as np
  from PIL import Image

  paths, rng = sorted(images.rglob("*.jpg")), np.random.default_rng(0)
  for kind, _ in _FILES:
    (root / kind).mkdir()
  for number in range(_IMAGES):
    picture = Image.open(paths[number % len(paths)]).convert("RGB") if paths else _noise(rng)
    picture = picture.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS)
    picture.save(root / f"images/{number}.jpg", quality=_JPEG_QUALITY)
    places = _cells(rng)
    Image.fromarray(places.astype(np.uint8)).save(root / f"labels/{number}.png")
    ids = _colour(places)
    channels = np.stack([ids & 255, ids >> 8 & 255, ids >> 16], -1).astype(np.uint8)
    Image.fromarray(channels).save(root / f"panoptic/{number}.png")
  _convert(root)
  return f"{len(paths)} photographs" if paths else "noise"


def _noise(rng: Any) -> Any:
  import numpy as np
  from PIL import Image

  return Image.fromarray(rng.integers(0, 256, (48, 64, 3)).astype(np.uint8))


def _cells(rng: Any) -> Any:
  """Segments from 1 around random points, [h, w]: each pixel belongs to the nearest."""
  import numpy as np

  points = rng.random((_SEGMENTS, 2)) * [_HEIGHT, _WIDTH]
  y, x = np.mgrid[:_HEIGHT, :_WIDTH]
  away = (y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2
  return away.argmin(-1) + 1


def _convert(root: Path) -> None:
  from official.datasets.convert import Conversion, convert

  segments = [
    {"id": _colour(n), "category_id": n, "iscrowd": 0, "area": 1, "bbox": [0, 0, 1, 1]}
    for n in range(1, _SEGMENTS + 1)
  ]
  content = {
    "images": [
      {"id": n, "file_name": f"{n}.jpg", "height": _HEIGHT, "width": _WIDTH} for n in range(_IMAGES)
    ],
    "annotations": [
      {"image_id": n, "file_name": f"{n}.png", "segments_info": segments} for n in range(_IMAGES)
    ],
    "categories": [{"id": n, "name": str(n), "isthing": 1} for n in range(1, _SEGMENTS + 1)],
  }
  (root / "panoptic.json").write_text(json.dumps(content))
  convert(
    Conversion(
      images=root / "images", output=root / "train", shards=1, panoptic=root / "panoptic.json",
      panoptic_masks=root / "panoptic",
    )
  )  # fmt: skip


def _parse() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--images", type=Path, default=_PHOTOGRAPHS, help="a folder of JPEGs")
  parser.add_argument("--run", nargs=3, help="side, case and data: run these only")
  return parser.parse_args()


if __name__ == "__main__":
  _arguments = _parse()
  if _arguments.run:
    _side, _case, _root = _arguments.run
    _run_side(_side, _case, Path(_root))
  else:
    main(_arguments.images)
