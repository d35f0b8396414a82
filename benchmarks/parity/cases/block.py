"""A block's two sides, and the parity case that they make."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import einops
import numpy as np
import tensorflow as tf
import tf_keras
import torch

from benchmarks.parity.cases import preprocess, training
from official.checkpoints.rules import Ignore
from official.parity.case import Arrays, Excuse, ParityCase, Side
from official.parity.recorders.keras_precision import computing_in
from projects.maskformer.reference.correspondence import Same, taps, weights

_RATES = (Excuse("rate/learning_rate.{group}", "groups of ours share a rate, times a factor"),)
LAYOUTS = {4: "b c h w -> b h w c"}


@dataclasses.dataclass(frozen=True)
class Block:
  """What a case is made of.

  Attributes:
    name: of the case.
    module: makes the original; its weights are drawn afterwards.
    layer: makes ours.
    forward: (module, batch) → the original's outputs.
    call: (layer, batch, training) → ours.
    table: what corresponds.
    batch: random generator → inputs and targets, in the original's layout.
    losses: of the original, (module, outputs, batch) → terms with "total", and of ours, (outputs,
      batch) → terms.
    batch_layouts: see `ParityCase`.
    trained: whether both sides have trainers, see `training`.
    size: of images that photographs are made into, see `preprocess`; None: there are none.
    ignored: parameters of the original that ours lacks.
    excuses: see `ParityCase`.
  """

  name: str
  module: Callable[[], torch.nn.Module]
  layer: Callable[[], tf_keras.layers.Layer]
  forward: Callable[[torch.nn.Module, Mapping[str, torch.Tensor]], Any]
  call: Callable[[tf_keras.layers.Layer, Mapping[str, tf.Tensor], bool], Any]
  table: tuple[Same, ...]
  batch: Callable[[np.random.Generator], Arrays]
  losses: tuple[Callable[..., Any], Callable[..., Any]] | None = None
  batch_layouts: Mapping[str, str] = dataclasses.field(default_factory=dict)
  trained: bool = False
  size: tuple[int, int] | None = None
  ignored: tuple[Ignore, ...] = ()
  excuses: tuple[Excuse, ...] = ()

  def case(self) -> ParityCase:
    """The block as a parity case."""
    return ParityCase(
      name=f"blocks/{self.name}",
      reference=self._reference,
      candidate=self._candidate,
      weights=weights(self.table) + self.ignored,
      taps=taps(self.table),
      batch=self._batch,
      layouts=LAYOUTS,
      batch_layouts=self.batch_layouts,
      excuses=self.excuses + (_RATES if self.trained else ()),
    )

  def _batch(self, seed: int) -> Arrays:
    return self.batch(np.random.default_rng(seed))

  def _reference(self, precision: str, seed: int) -> Side:
    with _float64_by_default():
      module = self.module()
    draw_weights(module, seed)
    module.to(getattr(torch, precision))
    losses = functools.partial(self.losses[0], module) if self.losses else None

    def forward(batch: Mapping[str, torch.Tensor], training: bool) -> Any:
      del training  # Modules know it themselves.
      return self.forward(module, batch)

    return Side(
      network=module,
      forward=forward,
      losses=losses,
      trainer=(lambda: training.original(module, losses, forward)) if self.trained else None,
      preprocess=(lambda image: preprocess.original(image, self.size)) if self.size else None,
    )

  def _candidate(self, precision: str) -> Side:
    with computing_in(precision):
      layer = self.layer()
      self.call(layer, self._sample(precision), False)
    losses = self.losses[1] if self.losses else None
    return Side(
      network=layer,
      forward=lambda batch, training: self.call(layer, batch, training),
      losses=losses,
      trainer=(lambda: training.ours(layer, losses, self.call)) if self.trained else None,
      preprocess=(lambda image: preprocess.ours(image, self.size)) if self.size else None,
    )

  def _sample(self, precision: str) -> dict[str, tf.Tensor]:
    """A batch as ours takes it, to make variables with."""
    sample = {}
    for name, array in self._batch(0).items():
      layout = self.batch_layouts.get(name) or LAYOUTS.get(array.ndim)
      array = einops.rearrange(array, layout) if layout else array
      tensor = tf.constant(array)
      sample[name] = tf.cast(tensor, precision) if tensor.dtype.is_floating else tensor
    return sample


@contextlib.contextmanager
def _float64_by_default() -> Iterator[None]:
  """Constants of modules made inside are exact in float64, not rounded to float32 before."""
  before = torch.get_default_dtype()
  torch.set_default_dtype(torch.float64)
  try:
    yield
  finally:
    torch.set_default_dtype(before)


def draw_weights(module: torch.nn.Module, seed: int) -> None:
  """Random values for every parameter and statistic: nothing is 0, 1, or equal to another.

  Kernels keep the variance of what passes them, so that no depth hides what comes before it.
  """
  generator = torch.Generator().manual_seed(seed)
  for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
    if not tensor.is_floating_point() or name.endswith("empty_weight"):
      continue
    noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
    if name.endswith("running_var"):
      values = torch.exp(0.3 * noise)
    elif tensor.ndim > 1:
      values = noise * (1.5 / tensor[0].numel()) ** 0.5
    elif name.endswith("weight"):
      values = 1 + 0.2 * noise
    else:
      values = 0.2 * noise
    tensor.data.copy_(values)


def halves(grid: tuple[int, int]) -> tuple[int, int]:
  """Pixels after a stride of 2."""
  return -(-grid[0] // 2), -(-grid[1] // 2)


def regression(targets: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
  """Both sides' half mean square of outputs against the batch's "target0", "target1", …"""

  def original(
    module: torch.nn.Module, outputs: Any, batch: Mapping[str, torch.Tensor]
  ) -> dict[str, torch.Tensor]:
    del module
    pairs = zip(_listed(outputs), _targets(batch, targets), strict=True)
    loss = sum(torch.mean((output - target) ** 2) / 2 for output, target in pairs)
    return {"squared": loss, "total": loss}

  def ours(outputs: Any, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    pairs = zip(_listed(outputs), _targets(batch, targets), strict=True)
    loss = tf.add_n([tf.reduce_mean((output - target) ** 2) / 2 for output, target in pairs])
    return {"squared": loss, "total": loss}

  return original, ours


def _listed(outputs: Any) -> list[Any]:
  return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def _targets(batch: Mapping[str, Any], count: int) -> list[Any]:
  return [batch[f"target{index}"] for index in range(count)]
