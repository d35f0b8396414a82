"""A MaskFormer-R50 train step on the CPU, at 256² batch 2 and 640² batch 1: ours and PyTorch's.

Theirs is transformers' MaskFormerForInstanceSegmentation on PyTorch: the same network (pyramid as
pixel decoder, 100 queries, 150 classes, deep supervision), its own losses and matcher. A step is
forward pass, losses and gradients. Ours runs in graph mode with frozen normalizations, as in the
original; transformers' train. The sides take turns, each measurement in a process of its own; the
last row is the peak memory beyond what importing the libraries takes.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.steps import peak_memory, print_measured
from official.cli.app import prepare_tensorflow

_SHAPES = ((256, 2), (640, 1))  # Side and batch.
_CLASSES, _SEGMENTS = 150, 10
_WARM_UP, _STEPS, _ROUNDS = 1, 3, 2


def main() -> None:
  """Runs both sides in turn and prints seconds a step and peak memory."""
  for size, batch in _SHAPES:
    sides: dict[str, list[dict[str, float]]] = {"ours": [], "theirs": []}
    for _ in range(_ROUNDS):
      for side, results in sides.items():
        results.append(_measure(side, size, batch))
    _print(size, batch, sides)


def _print(size: int, batch: int, sides: dict[str, list[dict[str, float]]]) -> None:
  medians = {
    side: {key: statistics.median(result[key] for result in results) for key in results[0]}
    for side, results in sides.items()
  }
  print(f"train step: MaskFormer R50, {size}x{size}, batch {batch}; medians of {_ROUNDS} processes")
  for key, unit in (("wall", "s"), ("cpu", "CPU s"), ("memory", "GB"), ("beyond", "GB")):
    ours, theirs = medians["ours"][key], medians["theirs"][key]
    print(f"  {unit:6} ours {ours:6.2f}   transformers {theirs:6.2f}   ratio {ours / theirs:.2f}")


def _measure(side: str, size: int, batch: int) -> dict[str, float]:
  command = [sys.executable, "-m", "benchmarks.maskformer_step", "--side", side]
  command += ["--size", str(size), "--batch", str(batch)]
  result = subprocess.run(command, check=True, capture_output=True, text=True)
  return json.loads(result.stdout.splitlines()[-1])


def _run_side(side: str, size: int, batch: int) -> None:
  make = {"ours": _our_step, "theirs": _their_step}[side]
  step, imports = make(size, batch)
  print_measured(step, _WARM_UP, _STEPS, imports)


def _batch(size: int, batch: int) -> dict[str, np.ndarray]:
  """Noise as images, and as many rectangles in each as there are segments."""
  generator = np.random.default_rng(0)
  masks = np.zeros([batch, _SEGMENTS, size, size], np.uint8)
  for mask in masks.reshape(-1, size, size):
    top, left = generator.integers(0, size // 2, 2)
    height, width = generator.integers(size // 8, size // 2, 2)
    mask[top : top + height, left : left + width] = 1
  return {
    "images": generator.standard_normal([batch, size, size, 3]).astype(np.float32),
    "classes": generator.integers(0, _CLASSES, [batch, _SEGMENTS]).astype(np.int32),
    "masks": masks,
    "valid": np.ones([batch, _SEGMENTS], bool),
    "padding": np.ones([batch, size, size], bool),
  }


def _our_step(size: int, batch: int) -> tuple[Callable[[], Any], float]:
  """The step, and the GB that the imports took."""
  prepare_tensorflow()
  sys.modules["jax"] = None  # TensorFlow imports it where it is installed; training does without.
  import tensorflow as tf

  from projects.maskformer.configs.model import Model
  from projects.maskformer.losses.criterion import maskformer_loss
  from projects.maskformer.losses.matcher import LossWeights
  from projects.maskformer.modeling.factory import build_maskformer

  imports = peak_memory()
  model = build_maskformer(Model(variant="r50", num_classes=_CLASSES))
  data = {name: tf.constant(array) for name, array in _batch(size, batch).items()}

  @tf.function
  def step() -> Any:
    with tf.GradientTape() as tape:
      outputs = model(data["images"], training=True)
      loss = maskformer_loss(outputs, data, LossWeights())["total_loss"]
    return loss, tape.gradient(loss, model.trainable_variables)

  return step, imports


def _their_step(size: int, batch: int) -> tuple[Callable[[], Any], float]:
  import torch
  from transformers import MaskFormerConfig, MaskFormerForInstanceSegmentation, ResNetConfig
  from transformers.models.maskformer.configuration_maskformer import MaskFormerDetrConfig

  imports = peak_memory()
  stages = [f"stage{index}" for index in range(1, 5)]
  config = MaskFormerConfig(
    backbone_config=ResNetConfig(out_features=stages),
    decoder_config=MaskFormerDetrConfig(use_timm_backbone=False),
    num_labels=_CLASSES,
    use_auxiliary_loss=True,
    output_hidden_states=True,
  )
  model = MaskFormerForInstanceSegmentation(config).train()
  data = {name: torch.from_numpy(array) for name, array in _batch(size, batch).items()}
  inputs = {
    "pixel_values": data["images"].permute(0, 3, 1, 2).contiguous(),
    "mask_labels": list(data["masks"].float()),
    "class_labels": list(data["classes"].long()),
  }

  def step() -> Any:
    model.zero_grad(set_to_none=True)
    loss = model(**inputs).loss
    loss.backward()
    return loss

  return step, imports


if __name__ == "__main__":
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--side", choices=["ours", "theirs"])
  parser.add_argument("--size", type=int)
  parser.add_argument("--batch", type=int)
  args = parser.parse_args()
  _run_side(args.side, args.size, args.batch) if args.side else main()
