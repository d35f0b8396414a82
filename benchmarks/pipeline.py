"""YOLO's input pipelines: ours beside upstream's, in images per CPU second of one core.

Each side reads the same records in a process of its own, pinned to one core with one thread for
TensorFlow's operations; CPU seconds are the process's, after a warm-up. Both make mosaics with
zoom, shift, mirror and HSV, in Scaled-YOLOv4's ranges. Upstream's parser matches anchors too, which
here the device does: its figure includes that.

The photographs are those that lie beside a developer's checkout, or of --images, brought to 640x480
with made-up boxes. Without any, shapes of that width stand in for them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from official.cli.app import prepare_tensorflow

_PHOTOGRAPHS = Path(__file__).resolve().parents[1].parent / "shared/data"
_BATCH, _WARM_UP, _SECONDS = 8, 4, 8.0
_CASES = {"large": 512, "small": 160}  # The side of the input.
_JPEG_QUALITY, _BOXES, _COPIES = 90, 7, 8


def main(images: Path) -> None:
  """Makes the records, runs every case on both sides and prints the table."""
  with tempfile.TemporaryDirectory() as directory:
    root = Path(directory)
    kinds = {"large": _write_photographs(images, root / "large"), "small": "shapes of 160x160"}
    _write_shapes(root / "small", _CASES["small"])
    for case, size in _CASES.items():
      print(f"pipeline: {size}x{size} from {kinds[case]}; images per CPU second")
      for use in ("train", "eval"):
        ours, theirs = (_measure(side, case, use, root) for side in ("ours", "upstream"))
        print(f"  {use:6} ours {ours:7.1f}   upstream {theirs:7.1f}   x{ours / theirs:.1f}")


def _measure(side: str, case: str, use: str, root: Path) -> float:
  command = [sys.executable, "-m", "benchmarks.pipeline", "--run", side, case, use, str(root)]
  result = subprocess.run(command, check=True, capture_output=True, text=True)
  return json.loads(result.stdout.splitlines()[-1])


def _run_side(side: str, case: str, use: str, root: Path) -> None:
  os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
  prepare_tensorflow()
  import tensorflow as tf

  tf.config.threading.set_intra_op_parallelism_threads(1)
  tf.config.threading.set_inter_op_parallelism_threads(1)
  build = {"ours": _our_dataset, "upstream": _upstream_dataset}[side]
  dataset = build(f"{root / case}/train-*.tfrecord", _CASES[case], use == "train")
  batches = iter(dataset.repeat())
  for _ in range(_WARM_UP):
    next(batches)
  began, images = time.process_time(), 0
  while (spent := time.process_time() - began) < _SECONDS:
    next(batches)
    images += _BATCH
  print(json.dumps(images / spent), flush=True)
  os._exit(0)  # Not waiting for what has been prefetched.


def _our_dataset(pattern: str, size: int, is_training: bool) -> Any:
  from projects.yolo.configs.data import DataConfig
  from projects.yolo.dataloaders.yolo_input import build_dataset

  params = DataConfig(input_path=pattern, global_batch_size=_BATCH, is_training=is_training)
  return build_dataset(params, input_size=size, category_ids=[])


def _upstream_dataset(pattern: str, size: int, is_training: bool) -> Any:
  from official.core import exp_factory, task_factory
  from official.projects.yolo.configs import yolo  # noqa: F401
  from official.projects.yolo.modeling.backbones import darknet  # noqa: F401
  from official.projects.yolo.modeling.decoders import yolo_decoder  # noqa: F401
  from official.projects.yolo.tasks import yolo as task  # noqa: F401

  config = exp_factory.get_exp_config("scaled_yolo").task
  params = config.train_data if is_training else config.validation_data
  config.model.override({"input_size": [size, size, 3]})
  params.override(
    {
      "input_path": pattern,
      "global_batch_size": _BATCH,
      "shuffle_buffer_size": 100,
      "decoder": {"simple_decoder": {"coco91_to_80": False}},
    }
  )
  if is_training:
    zoom = {"aug_scale_min": 0.5, "aug_scale_max": 1.5}
    params.parser.override({"aug_rand_translate": 0.1, "mosaic": zoom})
  return task_factory.get_task(config).build_inputs(params)


def _write_shapes(root: Path, size: int) -> None:
  from official.datasets.shapes import Shapes, make_shapes

  make_shapes(Shapes(root, train=64, val=1, size=size, seed=0, workers=1))


def _write_photographs(images: Path, root: Path) -> str:
  """Writes records of 640x480 JPEGs; returns what they are."""
  paths = sorted(images.rglob("*.jpg"))
  if not paths:
    _write_shapes(root, 640)
    return "shapes of 640x640"
  root.mkdir()
  _write_coco(paths * _COPIES, root)
  from official.datasets.convert import Conversion, convert

  convert(
    Conversion(
      images=root,
      output=root / "train",
      shards=1,
      instances=root / "instances.json",
      panoptic=None,
      panoptic_masks=None,
      masks=False,
      workers=1,
    )
  )
  return f"{len(paths)} photographs of 640x480"


def _write_coco(paths: Iterable[Path], root: Path) -> None:
  import numpy as np
  from PIL import Image

  rng = np.random.default_rng(0)
  images, annotations = [], []
  for number, path in enumerate(paths):
    photograph = Image.open(path).convert("RGB").resize((640, 480), Image.Resampling.LANCZOS)
    photograph.save(root / f"{number}.jpg", quality=_JPEG_QUALITY)
    images.append({"id": number, "file_name": f"{number}.jpg", "width": 640, "height": 480})
    for _ in range(_BOXES):
      width, height = rng.integers(20, 300, 2)
      x, y = rng.integers(0, 640 - width), rng.integers(0, 480 - height)
      box = [int(x), int(y), int(width), int(height)]
      annotations.append(
        {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "bbox": box,
         "area": int(width * height), "iscrowd": 0}
      )  # fmt: skip
  categories = [{"id": 1, "name": "thing"}]
  (root / "instances.json").write_text(
    json.dumps({"images": images, "annotations": annotations, "categories": categories})
  )


def _parse() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--images", type=Path, default=_PHOTOGRAPHS, help="a folder of JPEGs")
  parser.add_argument("--run", nargs=4, help="side, case, use and records: run these only")
  return parser.parse_args()


if __name__ == "__main__":
  _arguments = _parse()
  if _arguments.run:
    *_what, _root = _arguments.run
    _run_side(*_what, Path(_root))
  else:
    main(_arguments.images)
