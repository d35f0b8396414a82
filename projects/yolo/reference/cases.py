"""Parity cases of the variants: our networks against a Darknet in PyTorch.

Full width, 80 classes. Neither PyTorch nor TensorFlow is needed until a side is
made.
"""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from official.parity.case import Arrays, ParityCase, Side
from projects.yolo.modeling.darknet.cfg_file import read_cfg
from projects.yolo.modeling.variants import get_variant
from projects.yolo.reference.correspondence import of_variant

INPUT_SIZE = 64
CLASSES = 80

# What an experiment of 300 epochs does, within ten steps: rising, falling, averaging.
SCHEDULE = {"warmup_steps": 4, "decay_steps": 20, "average_decay": 0.4, "rate_share": 1.0}
# A small share of the published rates: at full ones, a step of a deep network with random weights
# multiplies rounding by 50, and after ten there is nothing left to compare.
_GENTLE = SCHEDULE | {"rate_share": 0.002}

_OBJECTS, _PADDING = 6, 2


@dataclasses.dataclass(frozen=True)
class _Pair:
  """A variant's original.

  Attributes:
    cfg: name of its `.cfg`.
    experiment: that trains ours.
    gain: of random kernels.
    input_size: side of the input in pixels. Batch normalization at stride 32 sees 2 × 2 pixels of
      64, which over a hundred layers amplifies rounding.
    schedule: of the training.
  """

  cfg: str
  experiment: str
  gain: float
  input_size: int = INPUT_SIZE
  schedule: Mapping[str, float] = dataclasses.field(default_factory=lambda: SCHEDULE)


_PAIRS = {
  "v3-tiny": _Pair("yolov3-tiny.cfg", "yolo_v3_tiny_coco", 2.0),
  "v4-tiny": _Pair("yolov4-tiny.cfg", "yolo_v4_tiny_coco", 2.0),
  "v3": _Pair("yolov3.cfg", "yolo_v3_coco", 1.2, 96, _GENTLE),
  "v3-spp": _Pair("yolov3-spp.cfg", "yolo_v3_spp_coco", 1.2, 96, _GENTLE),
  "v4": _Pair("yolov4.cfg", "yolo_v4_coco", 1.2, 96, _GENTLE),
  "v4-csp": _Pair("yolov4-csp.cfg", "yolo_v4_csp_coco", 1.2, 96, _GENTLE),
  "v4x-mish": _Pair("yolov4x-mish.cfg", "yolo_v4x_mish_coco", 1.2, 96, _GENTLE),
  "v4-p5": _Pair("yolov4-p5.cfg", "yolo_v4_p5_coco", 1.2, 96, _GENTLE),
  "v4-p6": _Pair("yolov4-p6.cfg", "yolo_v4_p6_coco", 1.2, 192, _GENTLE),
  "v4-p7": _Pair("yolov4-p7.cfg", "yolo_v4_p7_coco", 1.2, 384, _GENTLE),
}


def parity_cases(input_size: int | None = None, images: int = 2) -> Mapping[str, ParityCase]:
  """The cases by variant.

  Args:
    input_size: side of the input in pixels, a multiple of the largest stride; None: each
      case's own.
    images: how many are in a batch.
  """
  return {
    variant: _case(variant, pair, input_size or pair.input_size, images)
    for variant, pair in _PAIRS.items()
  }


def _case(variant: str, pair: _Pair, input_size: int, images: int) -> ParityCase:
  cfg = Path(__file__).parent / "cfg" / pair.cfg
  rules = of_variant(get_variant(variant), read_cfg(cfg)[1:])

  def reference(precision: str, seed: int) -> Side:
    from projects.yolo.reference.original import Original

    original = Original(pair.cfg, pair.gain, pair.schedule, input_size, precision, seed)
    return _cropping(original.side(), input_size)

  def candidate(precision: str) -> Side:
    from projects.yolo.reference.candidate import Candidate

    candidate = Candidate(pair.experiment, pair.schedule, input_size, precision)
    return _cropping(candidate.side(), input_size)

  return ParityCase(
    name=f"yolo/{variant}",
    reference=reference,
    candidate=candidate,
    weights=rules.weights,
    taps=rules.taps,
    batch=functools.partial(batch, input_size, images),
    layouts={4: "b c h w -> b h w c", 5: "b a h w n -> b h w a n"},
    excuses=rules.excuses,
    choices=("classes", "count"),
  )


def _cropping(side: Side, input_size: int) -> Side:
  """`side`, given a part of the photograph that shrinks, or grows, by 2.

  Pixels are then exact in float32: rounding them to bytes would else turn noise into differences.
  """
  width = 2 * input_size if input_size <= 64 else input_size // 2
  part = slice(width * 3 // 4), slice(width)
  return dataclasses.replace(side, preprocess=lambda image: side.preprocess(image[part]))


def batch(input_size: int, images: int, seed: int) -> Arrays:
  """Images [b, 3, s, s] in 0..1 and objects of all sizes, with padding behind."""
  rng = np.random.default_rng(seed)
  corner = rng.uniform(0, 0.7, [images, _OBJECTS, 2])
  sides = np.exp(rng.uniform(np.log(0.08), np.log(0.9), [images, _OBJECTS, 2]))
  boxes = np.concatenate([corner, np.minimum(corner + sides, 1)], axis=-1)
  padding = [[0, 0], [0, _PADDING]]
  classes = rng.integers(0, CLASSES, [images, _OBJECTS])
  return {
    "images": rng.random([images, 3, input_size, input_size]),
    "boxes": np.pad(boxes, [*padding, [0, 0]]),
    "classes": np.pad(classes, padding, constant_values=-1).astype(np.int32),
    "valid": np.pad(np.ones([images, _OBJECTS], bool), padding),
  }
