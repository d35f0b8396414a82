"""The original's recorded inputs and outputs, by case."""

import pathlib
from typing import NamedTuple

import numpy as np

from projects.maskformer.postprocessing.resizing import Frame

CASES = ("clean", "crowded", "much padding", "tiny", "nothing")
THRESHOLDS = ((0.8, 0.8), (0.7, 0.8), (0.0, 0.0), (0.5, 0.95))  # Of objects and of overlaps.
THINGS = np.arange(133) < 80


class Case(NamedTuple):
  class_logits: np.ndarray
  mask_logits: np.ndarray
  frame: Frame
  outputs: dict[str, np.ndarray]


def read_recordings():
  with np.load(pathlib.Path(__file__).parent / "recordings.npz") as file:
    return dict(file)


def read_case(recordings, name):
  prefix = f"{name}/"
  parts = {key.removeprefix(prefix): x for key, x in recordings.items() if key.startswith(prefix)}
  logits = (parts.pop(key).astype(np.float32) / 8 for key in ("class_logits", "mask_logits"))
  frame = Frame(*(tuple(size) for size in parts.pop("frame").tolist()))
  return Case(*logits, frame, parts)
