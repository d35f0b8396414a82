"""A parity case: the original, the candidate, and how the two correspond. A dossier states it."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from official.checkpoints.rules import Ignore, Rule

Arrays = Mapping[str, np.ndarray]

PRECISIONS = ("float64", "float32", "bfloat16")
STAGES = (
  "structure",
  "forward",
  "loss",
  "gradients",
  "optimizer",
  "trajectory",
  "preprocess",
  "postprocess",
)


class Trainer(Protocol):
  """Trains one side, step by step, as its project really does."""

  def step(self, batch: Any) -> Mapping[str, Any]:
    """One training step on `batch` (the side's tensors); returns the loss terms and "total"."""

  def state(self) -> dict[tuple[str, str], np.ndarray]:
    """Everything that a step changes, by (section, name) as in `keys`: parameter, buffer, slot,
    average, rate."""

  def load(self, state: Mapping[tuple[str, str], np.ndarray]) -> None:
    """Goes on from `state`; raises KeyError where it lacks something that `state()` has."""


@dataclasses.dataclass(frozen=True)
class Side:
  """The original or the candidate, in one precision.

  Attributes:
    network: a `torch.nn.Module` or a `tf_keras.Model` (or layer), its variables made.
    forward: (batch as the framework's tensors, training) → outputs, any structure of tensors.
    losses: (outputs, batch) → scalars by term, with "total", which is what is differentiated.
    trainer: makes the side's trainer of its network, at its first step.
    preprocess: raw image [h, w, 3] uint8 → what the network is given, by name.
    postprocess: the network's outputs, by leaf name, as arrays of the side's layout → what is made
      of them, by name.
    settings: hyper-parameters under names that both sides use; differences are reported before any
      tensor is compared.
  """

  network: Any
  forward: Callable[[Mapping[str, Any], bool], Any]
  losses: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]] | None = None
  trainer: Callable[[], Trainer] | None = None
  preprocess: Callable[[np.ndarray], Arrays] | None = None
  postprocess: Callable[[Arrays], Arrays] | None = None
  settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class TapRule:
  """Which tap of the original is which tap of the candidate.

  Attributes:
    reference: pattern of the original's tap names; "{name}" stands for one or more characters.
    candidate: the candidate's name, with the same fields.
    layout: axes of the original → axes of the candidate, as einops writes them
      ("b c h w -> b h w c", "b (h w) c -> b h w c"); empty: by rank, from `ParityCase.layouts`.
  """

  reference: str
  candidate: str
  layout: str = ""


@dataclasses.dataclass(frozen=True)
class Excuse:
  """What need not be compared, and why.

  Attributes:
    pattern: of the keys excused, as `TapRule.reference`, on either side, written
      "section/name" ("output/layers.{i}.dropout").
    reason: a sentence; must not be empty.
  """

  pattern: str
  reason: str


@dataclasses.dataclass(frozen=True)
class ParityCase:
  """What is to be proven equal.

  Attributes:
    name: "<project>/<variant>", or any name.
    reference: (precision, seed) → the original, its random weights drawn from `seed`. None where it
      cannot run here and only a recording of it can be used.
    candidate: precision → ours.
    weights: from the original's parameter names to the candidate's variables.
    taps: pairs of taps; the first rule that matches counts.
    layouts: rank → layout, of every array that no rule gives one: activations, inputs.
    batch: seed → inputs and targets, in the original's layout.
    batch_layouts: layouts of inputs that differ between the sides, by name.
    excuses: what is not compared.
    slots: names of optimizer slots, the original's → the candidate's.
    choices: names of outputs (of taps, of postprocess) that are discrete choices.
    recorded: (precision, seed, directory) → a recording of the original, made in the directory
      without running it. None: there is none.
  """

  name: str
  reference: Callable[[str, int], Side] | None
  candidate: Callable[[str], Side]
  weights: tuple[Rule | Ignore, ...]
  taps: tuple[TapRule, ...]
  batch: Callable[[int], Arrays]
  layouts: Mapping[int, str] = dataclasses.field(default_factory=dict)
  batch_layouts: Mapping[str, str] = dataclasses.field(default_factory=dict)
  excuses: tuple[Excuse, ...] = ()
  slots: Mapping[str, str] = dataclasses.field(default_factory=dict)
  choices: tuple[str, ...] = ()
  recorded: Callable[[str, int, Path], Path] | None = None
