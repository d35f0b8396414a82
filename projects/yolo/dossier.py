"""YOLO's dossier: papers, variants and what is claimed for them, experiments, and the detector."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from official.datasets.annotations import Category
from official.dossiers.dossier import (
  Claim,
  Detector,
  Dossier,
  Imported,
  Importer,
  Paper,
  Variant,
)

if TYPE_CHECKING:
  from official.checkpoints.schemes import ForeignFiles
  from official.parity.case import ParityCase
  from projects.yolo.configs.yolo import YoloTask

_DARKNET = "https://github.com/AlexeyAB/darknet#pre-trained-models"
_SCALED = "https://arxiv.org/abs/2011.08036"
_TEST_DEV = "COCO test-dev2017"


def _input_shape(task: "YoloTask") -> tuple[int, int, int]:
  size = task.model.input_size
  return size, size, 3


def _detector(task: "YoloTask", checkpoint: str, batch_size: int) -> Detector:
  from projects.yolo.serving.detector import YoloDetector

  return YoloDetector(task, checkpoint, batch_size)


def _parity() -> Mapping[str, "ParityCase"]:
  from projects.yolo.reference.cases import parity_cases

  return parity_cases()


def _import(cfg: str, weights: str, batch_size: int) -> Imported:
  from projects.yolo.serving.detector import DarknetDetector

  detector = DarknetDetector(cfg, weights, batch_size)
  return Imported(detector, detector.num_classes)


def _foreign(task: "YoloTask") -> "ForeignFiles":
  from projects.yolo.checkpoints.foreign import foreign_files

  return foreign_files(task)


def _categories(task: "YoloTask") -> Sequence[Category]:
  from projects.yolo.tasks import yolo

  return yolo.YoloTask(task).categories(task.validation_data)


DOSSIER = Dossier(
  name="yolo",
  papers=(
    Paper("YOLOv3: An Incremental Improvement", "https://arxiv.org/abs/1804.02767"),
    Paper("YOLOv4: Optimal Speed and Accuracy", "https://arxiv.org/abs/2004.10934"),
    Paper("Scaled-YOLOv4: Scaling Cross Stage Partial Network", _SCALED),
  ),
  variants={
    "v3-tiny": Variant(
      experiment="yolo_v3_tiny_coco",
      claims=(Claim("AP50", 0.331, _TEST_DEV, 416, _DARKNET),),
    ),
    "v4-tiny": Variant(
      experiment="yolo_v4_tiny_coco",
      claims=(
        Claim("AP50", 0.402, _TEST_DEV, 416, _DARKNET),
        Claim("AP", 0.220, _TEST_DEV, 416, _SCALED),
      ),
    ),
    "v4-csp": Variant(
      experiment="yolo_v4_csp_coco",
      claims=(
        Claim("AP", 0.475, _TEST_DEV, 640, _SCALED),
        Claim("AP50", 0.662, _TEST_DEV, 640, _SCALED),
      ),
    ),
  },
  experiments=(
    "yolo_v3_tiny_coco",
    "yolo_v4_tiny_coco",
    "yolo_v4_csp_coco",
    "yolo_v4_tiny_shapes",
  ),
  input_shape=_input_shape,
  detector=_detector,
  categories=_categories,
  parity=_parity,
  importer=Importer((".cfg", ".weights"), _import),
  foreign=_foreign,
)
