"""Asks detectron2's `SemSegEvaluator` about random maps, and writes `semantic.npz`.

  PYTHONPATH=DETECTRON2:. python -m tests.official.evaluation.record_semantic TARGET

with a checkout of facebookresearch/detectron2 (02b5c4e) in an environment with torch 2.13 for the
CPU. The file holds `truth` and `labels` [images, h, w] uint8 (255 does not count), `figures` [4],
those of `METRICS` in 0..1, and `per_class` [c, 2], IoU and accuracy, NaN where there is none.
"""

import sys
import types
from unittest import mock

import numpy as np

CLASSES, IMAGES, SHAPE = 9, 6, (40, 56)


def make_maps():
  """Cells around points; class 7 is only predicted, class 8 in neither."""
  rng = np.random.default_rng(0)
  for _ in range(IMAGES):
    points = rng.random([12, 2]) * SHAPE
    truth = rng.choice([0, 1, 2, 3, 4, 5, 6, 255], 12)
    guess = np.where(rng.random(12) < 0.7, truth % 255, rng.integers(0, 8, 12))
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    maps = []
    for moved, values in ((points, truth), (points + rng.normal(0, 2, points.shape), guess)):
      place = ((grid[:, :, None] - moved) ** 2).sum(-1).argmin(-1)
      maps.append(values[place].astype(np.uint8))
    yield maps


def main(target):
  import torch
  from detectron2.data import DatasetCatalog, MetadataCatalog
  from detectron2.evaluation import SemSegEvaluator

  truth, labels = map(np.stack, zip(*make_maps(), strict=True))
  rows = [{"file_name": f"{i}.jpg", "sem_seg_file_name": str(i)} for i in range(IMAGES)]
  DatasetCatalog.register("maps", lambda: rows)
  MetadataCatalog.get("maps").set(stuff_classes=[str(i) for i in range(CLASSES)], ignore_label=255)
  evaluator = SemSegEvaluator(
    "maps", False, sem_seg_loading_fn=lambda name, dtype: truth[int(name)].astype(dtype)
  )
  evaluator.reset()
  for row, each in zip(rows, labels, strict=True):
    scores = torch.nn.functional.one_hot(torch.from_numpy(each).long(), CLASSES)
    evaluator.process([row], [{"sem_seg": scores.permute(2, 0, 1)}])
  result = evaluator.evaluate()["sem_seg"]
  figures = [result[name] / 100 for name in ("mIoU", "fwIoU", "mACC", "pACC")]
  per_class = [[result[f"{name}-{i}"] / 100 for name in ("IoU", "ACC")] for i in range(CLASSES)]
  np.savez_compressed(target, truth=truth, labels=labels, figures=figures, per_class=per_class)


class _StandIn(types.ModuleType):
  __path__ = ()

  def __getattr__(self, name):
    if name.startswith("__"):
      raise AttributeError(name)
    return mock.MagicMock()


if __name__ == "__main__":
  for _name in (
    "torchvision",
    "torchvision.ops",
    "torchvision.ops.boxes",
    "torchvision.transforms",
  ):
    sys.modules[f"torchvision{_name}"] = _StandIn(f"torchvision{_name}")
  sys.modules["torchvision"].__version__ = "0.28.0"
  main(sys.argv[1])
