"""Which of Darknet's layers is which of ours: rules for weights and taps, and what has no pair.

Rows of the variant tables stand in the order of the `.cfg`, in which each output follows the level
that it is made of, or all outputs stand at the end; a `[route]` that only goes back to an earlier
layer has no row.
"""

import dataclasses
from collections.abc import Iterator, Sequence

from official.checkpoints.rules import Ignore, Rule
from official.parity.case import Excuse, TapRule
from official.parity.keys import ROOT
from projects.yolo.modeling.darknet.cfg_file import Section
from projects.yolo.modeling.variant import Variant

_KINDS = {
  "add": "shortcut",
  "concat": "route",
  "conv": "convolutional",
  "group": "route",
  "output": "convolutional",
  "pool": "maxpool",
  "split": "yolo",
  "upsample": "upsample",
}
_NORM = {
  "weight": "gamma",
  "bias": "beta",
  "running_mean": "moving_mean",
  "running_var": "moving_variance",
}


@dataclasses.dataclass(frozen=True)
class Layer:
  """One of our layers: what its row is, and its path in the network."""

  kind: str
  path: str


@dataclasses.dataclass(frozen=True)
class Correspondence:
  """Rules as `official.parity.case.ParityCase` has them."""

  weights: tuple[Rule | Ignore, ...]
  taps: tuple[TapRule, ...]
  excuses: tuple[Excuse, ...]


def of_variant(variant: Variant, sections: Sequence[Section]) -> Correspondence:
  """The rules between `variant` and the layers of its `.cfg`.

  Raises:
    ValueError: they do not go through the same kinds of layers.
  """
  pairs = list(_pairs(variant, sections))
  found = [_of_layer(index, layer) for index, layer in pairs]
  known = {index for index, _ in pairs}
  alone = [index for index in range(len(sections)) if index not in known]
  return Correspondence(
    weights=tuple(rule for rules, _ in found for rule in rules),
    taps=(
      *(tap for _, taps in found for tap in taps),
      TapRule(f"{ROOT}:{{level}}", f"{ROOT}:raw.{{level}}"),
    ),
    excuses=(
      *(Excuse(f"output/layers.{index}", "goes back to an earlier layer") for index in alone),
      *_excuses(variant, pairs),
    ),
  )


def _pairs(variant: Variant, sections: Sequence[Section]) -> Iterator[tuple[int, Layer]]:
  """(number of Darknet's layer, ours)."""
  layers = _in_darknets_order(variant, _outputs_last(sections))
  for index, section in enumerate(sections):
    if _only_goes_back(section):
      continue
    layer = next(layers, Layer("nothing", "nothing"))
    if _KINDS.get(layer.kind) != section.kind:
      raise ValueError(f"layer {index} is a {section.kind}, but ours is {layer.path}")
    yield index, layer
  if left := [layer.path for layer in layers]:
    raise ValueError(f"ours goes on with {left[0]}")


def _only_goes_back(section: Section) -> bool:
  if section.kind != "route" or "groups" in section.options:
    return False
  return len(section.integers("layers")) == 1


def _outputs_last(sections: Sequence[Section]) -> bool:
  kinds = [section.kind for section in sections]
  behind = kinds[kinds.index("yolo") + 1 :]
  output = ["route", "convolutional", "convolutional", "yolo"]
  return behind == output * (len(behind) // len(output))


def _in_darknets_order(variant: Variant, outputs_last: bool) -> Iterator[Layer]:
  pyramid = [f"p{level}" for level in variant.levels]
  for part, rows in (("backbone", variant.backbone), ("decoder", variant.decoder)):
    for row in rows:
      if row.kind != "linear":
        yield Layer(row.kind, f"{part}/{row.name}")
      if row.name in pyramid and not outputs_last:
        yield from _output(row.name)
  if outputs_last:
    for name in pyramid:
      yield from _output(name)


def _output(name: str) -> Iterator[Layer]:
  yield Layer("conv", f"head/{name}/conv")
  yield Layer("output", f"head/{name}/output")
  yield Layer("split", f"head/{name}/split")


def _of_layer(index: int, layer: Layer) -> tuple[list[Rule | Ignore], list[TapRule]]:
  source, path = f"layers.{index}", layer.path
  taps = [TapRule(source, path)]
  if layer.kind == "output":
    rules = [
      Rule(f"{source}.conv.weight", f"{path}/kernel", "conv"),
      Rule(f"{source}.conv.bias", f"{path}/bias"),
    ]
    return rules, taps
  if layer.kind != "conv":
    return [], taps
  rules = [
    Rule(f"{source}.conv.weight", f"{path}/conv/kernel", "conv"),
    *(Rule(f"{source}.norm.{name}", f"{path}/norm/{own}") for name, own in _NORM.items()),
    Ignore(f"{source}.norm.num_batches_tracked", "counts batches; the momentum is a constant"),
  ]
  parts = [TapRule(f"{source}.{part}", f"{path}/{part}") for part in ("conv", "norm")]
  return rules, [*parts, *taps]


def _excuses(variant: Variant, pairs: Sequence[tuple[int, Layer]]) -> Iterator[Excuse]:
  for index, layer in pairs:
    if layer.kind == "output":
      yield Excuse(f"output/layers.{index}.conv", "the layer's output as well: nothing follows it")
  for part, prefix in (("backbone", "c"), ("decoder", "p"), ("head", "")):
    for level in variant.levels:
      yield Excuse(f"output/{part}:{prefix}{level}", "hands on what one of its layers returns")
  for row in variant.backbone:
    if row.kind == "linear":
      yield Excuse(f"output/backbone/{row.name}", "hands on an earlier layer under another name")
  reason = "made of the raw outputs; compared in the stage postprocess"
  yield Excuse(f"output/{ROOT}:detections.{{name}}", reason)
  yield Excuse("rate/learning_rate.1", "ours has one rate for all; both groups have the same")
  yield Excuse(
    "rate/learning_rate.2", "ours is a part of the optimizer; the steps of biases tell it"
  )
