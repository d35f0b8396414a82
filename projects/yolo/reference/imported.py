"""A parity case of any `.cfg` that is imported: TensorFlow's network against PyTorch's."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from official.checkpoints.rules import Ignore, Rule
from official.parity.case import Arrays, Excuse, ParityCase, Side, TapRule
from official.parity.keys import ROOT
from projects.yolo.modeling.darknet.draft import Convolution
from projects.yolo.modeling.darknet.network import Network, read_network

_IMAGES = 2
_LIMITS = {
  "score_threshold": 0.001,
  "iou_threshold": 0.45,
  "candidates": 1000,
  "max_detections": 100,
}
_NORM = {
  "weight": "gamma",
  "bias": "beta",
  "running_mean": "moving_mean",
  "running_var": "moving_variance",
}


def imported_case(cfg: Path, weights: Path | None = None, gain: float = 2.0) -> ParityCase:
  """All weights, layers, gradients and both ends of the network that `cfg` describes.

  Args:
    cfg: path of the `.cfg`.
    weights: path of its `.weights`; None: random ones.
    gain: of random kernels, see `projects.yolo.reference.darknet.draw_weights`.

  Raises:
    UserError: the `.cfg` holds what cannot be imported.
  """
  network = read_network(cfg)

  def reference(precision: str, seed: int) -> Side:
    return _original(cfg, weights, gain, network, precision, seed)

  return ParityCase(
    name=f"yolo/{cfg.name}",
    reference=reference,
    candidate=lambda precision: _candidate(network, precision),
    weights=tuple(rule for each in network.convolutions for rule in _rules(each)),
    taps=(
      TapRule("layers.{i}.{part}", "network/layer{i}/{part}"),
      TapRule("layers.{i}", "network/layer{i}"),
      TapRule(f"{ROOT}:{{level}}", f"{ROOT}:raw.{{level}}"),
    ),
    batch=lambda seed: {"images": _random_images(network, seed)},
    layouts={4: "b c h w -> b h w c", 5: "b a h w n -> b h w a n"},
    excuses=tuple(_excuses(network)),
    choices=("classes", "count"),
  )


def _random_images(network: Network, seed: int) -> np.ndarray:
  height, width, channels = network.input
  return np.random.default_rng(seed).random([_IMAGES, channels, height, width])


def _original(
  cfg: Path, weights: Path | None, gain: float, network: Network, precision: str, seed: int
) -> Side:
  import torch

  from projects.yolo.reference import image
  from projects.yolo.reference.darknet import Darknet, draw_weights, load_weights
  from projects.yolo.reference.detection import detect

  darknet = Darknet(cfg)
  if weights:
    load_weights(darknet, weights)
  else:
    draw_weights(darknet, seed, gain)
  darknet.to(getattr(torch, precision))
  heads = {level: darknet.layers[index] for level, index in darknet.heads.items()}
  exponent = network.heads[-1].diou_exponent

  def losses(outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> dict[str, Any]:
    return _sum({level: (raw**2).mean() for level, raw in outputs.items()})

  return Side(
    network=darknet,
    forward=lambda batch, training: darknet(batch["images"]),
    losses=losses,
    preprocess=lambda photograph: {"image": image.stretch(photograph, *darknet.input_size)},
    postprocess=lambda outputs: detect(outputs, heads, **_LIMITS, diou_exponent=exponent),
  )


def _candidate(network: Network, precision: str) -> Side:
  import tensorflow as tf

  from official.parity.recorders.keras_precision import computing_in
  from projects.yolo.modeling.darknet.model import DarknetYolo
  from projects.yolo.ops import darknet_image
  from projects.yolo.reference.candidate import raw_outputs

  with computing_in(precision):
    model = DarknetYolo(network)
  height, width, _ = network.input

  def losses(outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> dict[str, Any]:
    return _sum({level: tf.reduce_mean(raw**2) for level, raw in outputs["raw"].items()})

  def preprocess(photograph: np.ndarray) -> Arrays:
    return {"image": darknet_image.stretch(tf.constant(photograph), height, width)[0].numpy()}

  def postprocess(outputs: Arrays) -> Arrays:
    found = model.detections(raw_outputs(outputs))
    return {name: value.numpy() for name, value in found.items()}

  return Side(
    network=model,
    forward=lambda batch, training: model(batch["images"], training=training),
    losses=losses,
    preprocess=preprocess,
    postprocess=postprocess,
  )


def _sum(terms: dict[str, Any]) -> dict[str, Any]:
  return {f"squares {level}": term for level, term in terms.items()} | {
    "total": sum(terms.values())
  }


def _rules(convolution: Convolution) -> Iterator[Rule | Ignore]:
  source, path = f"layers.{convolution.section}", f"network/{convolution.row}"
  if not convolution.normalized:
    yield Rule(f"{source}.conv.weight", f"{path}/kernel", "conv")
    yield Rule(f"{source}.conv.bias", f"{path}/bias")
    return
  yield Rule(f"{source}.conv.weight", f"{path}/conv/kernel", "conv")
  for name, own in _NORM.items():
    yield Rule(f"{source}.norm.{name}", f"{path}/norm/{own}")
  yield Ignore(f"{source}.norm.num_batches_tracked", "counts batches; the momentum is a constant")


def _excuses(network: Network) -> Iterator[Excuse]:
  made = {row.name for row in network.rows}
  reads = {source for row in network.rows for source in row.inputs}
  for convolution in network.convolutions:
    name = f"layer{convolution.section}"
    if convolution.row == name and not convolution.normalized:
      yield Excuse(f"output/layers.{convolution.section}.conv", "nothing follows it in its layer")
    if convolution.row != name and name in made - reads:
      yield Excuse(f"output/layers.{convolution.section}", "its activation is part of decoding")
  for row in network.rows:
    if row.name.endswith(("/add", "/multiply")) or (row.kind == "group" and "/" in row.name):
      yield Excuse(f"output/network/{row.name}", "a part of a layer that Darknet takes in one")
  yield Excuse("output/network:{level}", "hands on what its last layers return")
  yield Excuse(f"output/{ROOT}:detections.{{name}}", "made of the raw outputs: see postprocess")
