"""Asks panopticapi about the scenes, and writes `panoptic.npz`.

  PYTHONPATH=PANOPTICAPI:. python -m tests.official.evaluation.record_panoptic COCO_SAMPLE TARGET

with a checkout of cocodataset/panopticapi (7bb4655), NumPy and Pillow. The file holds the scenes as
well: `<i>/<truth or found>/…` as `PanopticMap` has them, maps as places in the list of segments;
`<i>/figures` [3, 4], PQ, SQ, RQ and number of classes of all, things, stuff (−1 where panopticapi
divides by zero); `<i>/per_class` [133, 3]; and the same under `all/` for all scenes.
"""

import json
import pathlib
import sys
import tempfile

import numpy as np

from tests.official.evaluation.scenes import all_scenes, write


def main(root, target):
  scenes = list(all_scenes(root))
  recorded = {}
  for place, scene in enumerate(scenes):
    for side, given in zip(("truth", "found"), scene, strict=True):
      table = np.zeros(int(given.ids.max()) + 1, np.uint8)
      table[given.segments] = np.arange(1, len(given.segments) + 1)
      key = f"{place}/{side}"
      crowd = np.zeros(len(given.segments)) if given.is_crowd is None else given.is_crowd
      rows = np.stack([given.segments, given.classes, crowd], 1).astype(np.int32)
      recorded |= {f"{key}/places": table[given.ids], f"{key}/segments": rows}
  with tempfile.TemporaryDirectory() as folder:
    statistics = ask(scenes, pathlib.Path(folder))
  for name, (figures, per_class) in statistics.items():
    recorded |= {f"{name}/figures": figures, f"{name}/per_class": per_class}
  np.savez_compressed(target, **recorded)


def ask(scenes, folder):
  from panopticapi.evaluation import pq_compute_single_core

  contents = [json.loads(path.read_text()) for path in write(scenes, folder)]
  categories = {row["id"]: row for row in contents[0]["categories"]}
  pairs = list(zip(*(content["annotations"] for content in contents), strict=True))

  def compute(pairs):
    folders = (str(folder / side) for side in ("truth", "found"))
    return figures(pq_compute_single_core(0, pairs, *folders, categories), categories)

  whole = compute(pairs)
  return {str(place): compute([pair]) for place, pair in enumerate(pairs)} | {"all": whole}


def figures(statistics, categories):
  rows = []
  for isthing in (None, True, False):
    try:
      average, per_class = statistics.pq_average(categories, isthing)
      rows.append([average[key] for key in ("pq", "sq", "rq", "n")])
    except ZeroDivisionError:
      rows.append([-1, -1, -1, 0])
    if isthing is None:
      table = [[per_class[place][key] for key in ("pq", "sq", "rq")] for place in categories]
  return np.array(rows), np.array(table)


if __name__ == "__main__":
  main(pathlib.Path(sys.argv[1]), sys.argv[2])
