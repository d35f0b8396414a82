"""YOLO's dossier: papers, variants and what is claimed for them, experiments, and the detector."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from official.cli.errors import UserError
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
_LARGE = "https://github.com/WongKinYiu/ScaledYOLOv4/tree/yolov4-large"
_YOLOV7 = "https://github.com/WongKinYiu/yolov7"
_V7_PAPER = "https://arxiv.org/abs/2207.02696"
_TEST_DEV = "COCO test-dev2017"


def _input_shape(task: "YoloTask") -> tuple[int, int, int]:
  size = _of_detector(task).model.input_size
  return size, size, 3


def _of_detector(task: "YoloTask") -> "YoloTask":
  """`task`; raises `UserError` where it is a classifier's."""
  if isinstance(task.model.input_size, int):
    return task
  raise UserError("the experiment trains a classifier: it is trained and evaluated, no more")


def _detector(task: "YoloTask", checkpoint: str, batch_size: int) -> Detector:
  from projects.yolo.serving.detector import YoloDetector

  return YoloDetector(_of_detector(task), checkpoint, batch_size)


def _parity() -> Mapping[str, "ParityCase"]:
  from projects.yolo.reference.cases import parity_cases

  return parity_cases()


def _import(cfg: str, weights: str, batch_size: int) -> Imported:
  from projects.yolo.serving.detector import DarknetDetector

  detector = DarknetDetector(cfg, weights, batch_size)
  return Imported(detector, detector.num_classes)


def _saved_model(
  task: "YoloTask", checkpoint: str, categories: Sequence[Category], directory: str
) -> None:
  from projects.yolo.serving.saved_model import export

  del categories
  export(_of_detector(task), checkpoint, directory)


def _lite(task: "YoloTask", *args: Any, integers: bool = False) -> None:
  from projects.yolo.serving.lite import export

  export(_of_detector(task), *args, integers=integers)


def _exported(directory: Path) -> Detector:
  from projects.yolo.serving.lite import LiteDetector

  return LiteDetector(directory)


def _foreign(task: "YoloTask") -> "ForeignFiles":
  from projects.yolo.checkpoints.foreign import foreign_files

  return foreign_files(_of_detector(task))


def _categories(task: "YoloTask") -> Sequence[Category]:
  from projects.yolo.tasks import yolo

  return yolo.YoloTask(_of_detector(task)).categories(task.validation_data)


DOSSIER = Dossier(
  name="yolo",
  papers=(
    Paper("YOLOv3: An Incremental Improvement", "https://arxiv.org/abs/1804.02767"),
    Paper("YOLOv4: Optimal Speed and Accuracy", "https://arxiv.org/abs/2004.10934"),
    Paper("Scaled-YOLOv4: Scaling Cross Stage Partial Network", _SCALED),
    Paper("YOLOv7: Trainable bag-of-freebies sets new state-of-the-art", _V7_PAPER),
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
    "v3": Variant(
      experiment="yolo_v3_coco",
      claims=(Claim("AP50", 0.553, _TEST_DEV, 416, _DARKNET),),
    ),
    "v3-spp": Variant(
      experiment="yolo_v3_spp_coco",
      claims=(Claim("AP50", 0.606, _TEST_DEV, 608, _DARKNET),),
    ),
    "v4": Variant(
      experiment="yolo_v4_coco",
      claims=(
        Claim("AP", 0.430, _TEST_DEV, 512, _DARKNET),
        Claim("AP50", 0.649, _TEST_DEV, 512, _DARKNET),
      ),
    ),
    "v4x-mish": Variant(
      experiment="yolo_v4x_mish_coco",
      claims=(
        Claim("AP", 0.501, _TEST_DEV, 640, _DARKNET),
        Claim("AP50", 0.685, _TEST_DEV, 640, _DARKNET),
      ),
    ),
    "v4-p5": Variant(
      experiment="yolo_v4_p5_coco",
      claims=(
        Claim("AP", 0.514, _TEST_DEV, 896, _LARGE),
        Claim("AP50", 0.699, _TEST_DEV, 896, _LARGE),
      ),
    ),
    "v4-p6": Variant(
      experiment="yolo_v4_p6_coco",
      claims=(
        Claim("AP", 0.543, _TEST_DEV, 1280, _LARGE),
        Claim("AP50", 0.723, _TEST_DEV, 1280, _LARGE),
      ),
    ),
    "v4-p7": Variant(
      experiment="yolo_v4_p7_coco",
      claims=(
        Claim("AP", 0.554, _TEST_DEV, 1536, _LARGE),
        Claim("AP50", 0.733, _TEST_DEV, 1536, _LARGE),
      ),
    ),
    "v7-tiny": Variant(
      experiment="yolo_v7_tiny_coco",
      claims=(Claim("AP", 0.374, "COCO val2017", 640, _V7_PAPER),),
    ),
    "v7": Variant(
      experiment="yolo_v7_coco",
      claims=(
        Claim("AP", 0.514, _TEST_DEV, 640, _YOLOV7),
        Claim("AP50", 0.697, _TEST_DEV, 640, _YOLOV7),
      ),
    ),
    "v7x": Variant(
      experiment="yolo_v7x_coco",
      claims=(
        Claim("AP", 0.531, _TEST_DEV, 640, _YOLOV7),
        Claim("AP50", 0.712, _TEST_DEV, 640, _YOLOV7),
      ),
    ),
    "v7-w6": Variant(
      experiment="yolo_v7_w6_coco",
      claims=(
        Claim("AP", 0.549, _TEST_DEV, 1280, _YOLOV7),
        Claim("AP50", 0.726, _TEST_DEV, 1280, _YOLOV7),
      ),
    ),
    "v7-e6": Variant(
      experiment="yolo_v7_e6_coco",
      claims=(
        Claim("AP", 0.560, _TEST_DEV, 1280, _YOLOV7),
        Claim("AP50", 0.735, _TEST_DEV, 1280, _YOLOV7),
      ),
    ),
    "v7-d6": Variant(
      experiment="yolo_v7_d6_coco",
      claims=(
        Claim("AP", 0.566, _TEST_DEV, 1280, _YOLOV7),
        Claim("AP50", 0.740, _TEST_DEV, 1280, _YOLOV7),
      ),
    ),
    "v7-e6e": Variant(
      experiment="yolo_v7_e6e_coco",
      claims=(
        Claim("AP", 0.568, _TEST_DEV, 1280, _YOLOV7),
        Claim("AP50", 0.744, _TEST_DEV, 1280, _YOLOV7),
      ),
    ),
    "v4-csp-narrow": Variant(experiment="yolo_v4_csp_narrow_shapes"),
  },
  experiments=(
    "yolo_v3_tiny_coco",
    "yolo_v4_tiny_coco",
    "yolo_v4_csp_coco",
    "yolo_v3_coco",
    "yolo_v3_spp_coco",
    "yolo_v4_coco",
    "yolo_v4x_mish_coco",
    "yolo_v4_p5_coco",
    "yolo_v4_p6_coco",
    "yolo_v4_p7_coco",
    "yolo_v7_tiny_coco",
    "yolo_v7_coco",
    "yolo_v7x_coco",
    "yolo_v7_w6_coco",
    "yolo_v7_e6_coco",
    "yolo_v7_d6_coco",
    "yolo_v7_e6e_coco",
    "yolo_v4_tiny_shapes",
    "yolo_v4_csp_narrow_shapes",
    "yolo_v7_tiny_shapes",
    "yolo_darknet53_imagenet",
    "yolo_cspdarknet53_imagenet",
  ),
  input_shape=_input_shape,
  detector=_detector,
  categories=_categories,
  parity=_parity,
  importer=Importer((".cfg", ".weights"), _import),
  foreign=_foreign,
  exports={
    "saved_model": _saved_model,
    "lite": _lite,
    "lite_int8": functools.partial(_lite, integers=True),
  },
  exported=_exported,
)
