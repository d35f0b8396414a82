"""COCO-style annotations to TFRecords: ours beside upstream's `create_coco_tf_record`.

Both convert the same generated data set with all cores, each in a process of its own. CPU seconds
are those of the process and its workers; "all" counts from the start of Python, "converting"
from when the imports are done.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from official.cli.app import prepare_tensorflow

_IMAGES, _SIZE, _SHARDS = 2000, 320, 8
_WORKERS = os.cpu_count() or 1
_CASES = ("boxes", "masks", "panoptic")


def main() -> None:
  """Generates the input, runs every case on both sides and prints the table."""
  with tempfile.TemporaryDirectory() as directory:
    root = Path(directory)
    _generate(root)
    print(f"convert: {_IMAGES} images of {_SIZE}x{_SIZE}, {_WORKERS} processes; CPU seconds (wall)")
    for case in _CASES:
      ours, theirs = (_measure(side, case, root) for side in ("ours", "upstream"))
      for part in ("all", "converting"):
        ratio = theirs[part]["cpu"] / ours[part]["cpu"]
        print(
          f"  {case:9}{part:11} {_text(ours[part])}  upstream {_text(theirs[part])}  x{ratio:.1f}"
        )


def _text(times: dict[str, float]) -> str:
  return f"{times['cpu']:6.2f} ({times['wall']:6.2f})"


def _generate(root: Path) -> None:
  from official.datasets.shapes import Shapes, make_shapes

  make_shapes(Shapes(root, train=_IMAGES, val=1, size=_SIZE, seed=0, workers=_WORKERS))
  path = root / "annotations/instances_train.json"
  content = json.loads(path.read_bytes())
  # Upstream cannot decode the run lengths of a single object.
  content["annotations"] = [
    row for row in content["annotations"] if row["iscrowd"] or isinstance(row["segmentation"], list)
  ]
  path.write_text(json.dumps(content))


def _measure(side: str, case: str, root: Path) -> dict[str, dict[str, float]]:
  command = [sys.executable, "-m", "benchmarks.convert", side, case, str(root)]
  began = time.monotonic()
  result = subprocess.run(command, check=True, capture_output=True, text=True)
  times = json.loads(result.stdout.splitlines()[-1])
  times["all"]["wall"] = time.monotonic() - began
  return times


def _run_side(side: str, case: str, root: Path) -> None:
  prepare = {"ours": _prepare_ours, "upstream": _prepare_upstream}[side]
  call = prepare(case, root)
  before, began = _cpu_seconds(), time.monotonic()
  call()
  times = {
    "converting": {"cpu": _cpu_seconds() - before, "wall": time.monotonic() - began},
    "all": {"cpu": _cpu_seconds()},
  }
  print(json.dumps(times))


def _prepare_ours(case: str, root: Path) -> Callable[[], object]:
  from official.datasets.convert import Conversion, convert

  panoptic = root / "annotations/panoptic_train.json" if case == "panoptic" else None
  conversion = Conversion(
    images=root / "images/train",
    output=root / f"ours-{case}/train",
    shards=_SHARDS,
    instances=root / "annotations/instances_train.json",
    panoptic=panoptic,
    panoptic_masks=panoptic.with_suffix("") if panoptic else None,
    masks=case == "masks",
    workers=_WORKERS,
  )
  return lambda: convert(conversion)


def _prepare_upstream(case: str, root: Path) -> Callable[[], object]:
  prepare_tensorflow()
  import numpy as np
  from absl import flags
  from PIL import Image

  from official.vision.data import create_coco_tf_record as upstream
  from official.vision.data import tfrecord_lib

  # As written, its arithmetic on uint8 overflows and NumPy 2 raises.
  tfrecord_lib.read_image = lambda path: np.asarray(Image.open(path)).astype(np.int32)
  flags.FLAGS(["convert"])
  instances = str(root / "annotations/instances_train.json")
  output = root / f"upstream-{case}"
  output.mkdir()
  panoptic = root / "annotations/panoptic_train"
  extra = {"include_masks": True} if case == "masks" else {}
  if case == "panoptic":
    extra = {
      "panoptic_masks_dir": str(panoptic),
      "panoptic_annotations_file": str(panoptic.with_suffix(".json")),
      "include_panoptic_masks": True,
    }
  return lambda: upstream._create_tf_record_from_coco_annotations(
    instances,
    [str(root / "images/train")],
    str(output / "train"),
    _SHARDS,
    object_annotations_file=instances,
    **extra,
  )


def _cpu_seconds() -> float:
  usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
  return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _parse() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("side", nargs="?", choices=("ours", "upstream"), help="run one side only")
  parser.add_argument("case", nargs="?", choices=_CASES)
  parser.add_argument("root", nargs="?", type=Path, help="the generated input")
  return parser.parse_args()


if __name__ == "__main__":
  _arguments = _parse()
  if _arguments.side:
    _run_side(_arguments.side, _arguments.case, _arguments.root)
  else:
    main()
