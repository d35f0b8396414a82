"""What a diagnosis is given: one layer, loss, optimizer step … of the candidate, and what the
original made of the same inputs. All arrays are in the candidate's layout."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Neighbour:
  """An activation of the original, of another layer than the blamed one.

  Attributes:
    name: the original's tap.
    layer: class name of the original's module.
    candidate: the candidate's tap that it is paired with; empty where it has none.
    read: its value, in the candidate's layout.
  """

  name: str
  layer: str
  candidate: str
  read: Callable[[], np.ndarray]


@dataclasses.dataclass(frozen=True)
class LayerEvidence:
  """A layer whose inputs agree and whose outputs, or gradients, do not.

  Attributes:
    layer: a `tf_keras` layer, or any function of tensors; called as `layer(*args, **kwargs)`.
    path: its path, for the sentences.
    args: what it was called with: any structure with tensors in it.
    kwargs: by keyword; `training` need not be among them.
    outputs: the original's, by leaf name (see `structures.leaves`).
    training: the mode in which it ran.
    limit: what the error may be, as in `result.Finding`.
    parameters: of the original's paired module, under its own names and in its own layout.
    variables: of the whole candidate, by path ("backbone/c1/conv/kernel").
    neighbours: other activations of the original in the same pass; nearer ones first.
    upstream: gradient that arrives at each output, by leaf; None where the outputs are at fault.
    input_gradients: the original's gradients of the inputs, by position among the tensors of
      `args` and `kwargs` ("0", "1", …); those that are known.
    parameter_gradients: the original's, by the candidate's variable (`Variable.name`); those that
      are known. Names that two of the layer's variables share tell nothing.
  """

  layer: Callable[..., Any]
  path: str
  args: tuple[Any, ...]
  kwargs: Mapping[str, Any]
  outputs: Arrays
  training: bool = False
  limit: float = 1e-9
  parameters: Arrays = dataclasses.field(default_factory=dict)
  variables: Arrays = dataclasses.field(default_factory=dict)
  neighbours: Sequence[Neighbour] = ()
  upstream: Arrays | None = None
  input_gradients: Arrays = dataclasses.field(default_factory=dict)
  parameter_gradients: Arrays = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class StatisticsEvidence:
  """A normalization whose moving statistics differ after one forward pass.

  Attributes:
    path: of the layer.
    inputs: what it normalized, channels last.
    old: the statistics before ("mean", "variance"), [c] each.
    reference: the original's afterwards, the same keys.
    candidate: ours afterwards.
    limit: what the error may be.
  """

  path: str
  inputs: np.ndarray
  old: Arrays
  reference: Arrays
  candidate: Arrays
  limit: float = 1e-9


@dataclasses.dataclass(frozen=True)
class LossEvidence:
  """A loss, or one of its terms, that differs on equal outputs.

  Attributes:
    function: (outputs, batch) → scalars by term, as `case.Side.losses` of the candidate.
    outputs: what both sides' losses are given: any structure of tensors.
    batch: inputs and targets, as tensors.
    terms: the original's terms, the differing ones among them; all where "total" differs.
    term_gradients: the original's gradients of terms with respect to the tensors of `outputs`, by
      "<term>|<position>" with positions as `tf.nest.flatten` counts; those that are known.
    counts: what a mean may run over, by name: "images", "classes", "boxes", "replicas" ….
    limit: what the error may be.
  """

  function: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]]
  outputs: Any
  batch: Mapping[str, Any]
  terms: Arrays
  term_gradients: Arrays = dataclasses.field(default_factory=dict)
  counts: Mapping[str, float] = dataclasses.field(default_factory=dict)
  limit: float = 1e-9


@dataclasses.dataclass(frozen=True)
class OptimizerEvidence:
  """One optimizer step from the same state with the same gradients; names are the parameters'.

  Attributes:
    step: how many steps were taken before this one.
    gradients: what the optimizer was given, before any clipping.
    before: the parameters.
    reference: the original's parameters afterwards.
    candidate: ours afterwards.
    slots_before: "<parameter>|<slot>", empty at the first step.
    reference_slots: the original's afterwards.
    candidate_slots: ours afterwards.
    averages_before: of the parameters, where they are averaged.
    reference_averages: the original's afterwards.
    candidate_averages: ours afterwards.
    rates: the original's learning rate in this step and ours, where both are known.
    next_rates: the same in the step that follows.
    limit: what the error may be.
  """

  step: int
  gradients: Arrays
  before: Arrays
  reference: Arrays
  candidate: Arrays
  slots_before: Arrays = dataclasses.field(default_factory=dict)
  reference_slots: Arrays = dataclasses.field(default_factory=dict)
  candidate_slots: Arrays = dataclasses.field(default_factory=dict)
  averages_before: Arrays = dataclasses.field(default_factory=dict)
  reference_averages: Arrays = dataclasses.field(default_factory=dict)
  candidate_averages: Arrays = dataclasses.field(default_factory=dict)
  rates: tuple[float, float] | None = None
  next_rates: tuple[float, float] | None = None
  limit: float = 1e-9


@dataclasses.dataclass(frozen=True)
class PreprocessEvidence:
  """A raw image, and what each side feeds to its network.

  Attributes:
    image: [h, w, 3] uint8.
    reference: [h', w', 3] or [1, h', w', 3] of the original.
    candidate: ours.
    limit: what the error may be.
  """

  image: np.ndarray
  reference: np.ndarray
  candidate: np.ndarray
  limit: float = 1e-9
