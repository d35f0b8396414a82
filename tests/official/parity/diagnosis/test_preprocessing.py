"""Preprocessing; PyTorch and Pillow are the originals."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from official.parity.diagnosis import engine
from official.parity.diagnosis.evidence import PreprocessEvidence

IMAGE = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def stretched(mode="bilinear", align=None, antialias=False, size=(24, 24)):
  x = torch.from_numpy(IMAGE.transpose(2, 0, 1)[None].astype(np.float64))
  made = F.interpolate(x, size, mode=mode, align_corners=align, antialias=antialias)
  return made[0].numpy().transpose(1, 2, 0) / 255


def letterboxed(value=0.5, top=3):
  canvas = np.full((24, 24, 3), value)
  canvas[top : top + 18] = stretched(size=(18, 24))
  return canvas


def cause(candidate, original):
  found = engine.diagnose_preprocess(PreprocessEvidence(IMAGE, original, candidate))
  assert found, "no diagnosis"
  assert found[0].closes, found
  return found[0].cause


@pytest.mark.parametrize(
  ("candidate", "expected"),
  [
    (lambda: stretched()[..., ::-1], "channels_reversed"),
    (lambda: stretched() * 255, "input_scaling"),
    (lambda: (stretched() - MEAN) / DEVIATION, "input_scaling"),
    (lambda: stretched()[:, ::-1], "axes_swapped"),
    (lambda: stretched().swapaxes(0, 1), "axes_swapped"),
    (lambda: stretched().transpose(2, 0, 1), "axes_swapped"),
    (lambda: stretched(align=True), "resize_coordinates"),
    (lambda: stretched(antialias=True), "resize_antialias"),
    (lambda: stretched("nearest"), "resize_method"),
    (lambda: stretched("bicubic"), "resize_method"),
    (lambda: stretched("area"), "resize_method"),
    (lambda: letterboxed(), "resize_method"),
    (lambda: np.round(stretched() * 255) / 255, "precision_lost"),
    (lambda: stretched().astype(np.float32), "precision_lost"),
  ],
)
def test_against_stretched(candidate, expected):
  assert cause(candidate(), stretched()) == expected


@pytest.mark.parametrize(
  ("candidate", "expected"),
  [
    (lambda: letterboxed(0.0), "padding"),
    (lambda: letterboxed(top=0), "padding"),
    (lambda: stretched(), "resize_method"),
    (lambda: letterboxed()[None, ..., ::-1], "channels_reversed"),
  ],
)
def test_against_letterboxed(candidate, expected):
  assert cause(candidate(), letterboxed()) == expected


def test_means_in_the_order_of_the_other_channels():
  original = (stretched() - MEAN) / DEVIATION
  assert cause((stretched() - MEAN[::-1]) / DEVIATION[::-1], original) == "input_scaling"


@pytest.mark.parametrize("size", [(24, 24), (40, 60)])
def test_rounded_by_pillow(size):
  pillow = Image.fromarray(IMAGE).resize(size[::-1], Image.Resampling.BILINEAR)
  candidate = stretched(antialias=True, size=size)
  assert cause(candidate, np.asarray(pillow) / 255) == "precision_lost"


def test_agreement_and_what_nobody_knows():
  assert engine.diagnose_preprocess(PreprocessEvidence(IMAGE, stretched(), stretched())) == []
  noise = stretched() + np.random.default_rng(1).normal(size=(24, 24, 3))
  found = engine.diagnose_preprocess(PreprocessEvidence(IMAGE, stretched(), noise))
  assert not any(diagnosis.closes for diagnosis in found)
