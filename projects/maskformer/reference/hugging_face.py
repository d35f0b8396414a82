"""The originals from transformers: MaskFormer with the pyramid, on ResNet-50 and on Swin-T.

They equal facebookresearch's but for what is set right here: earlier layers predict from normalized
queries (transformers' `use_auxiliary_loss` begins with the queries' zeros and normalizes none),
their losses are summed, and BatchNorm is frozen.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
  MaskFormerConfig,
  MaskFormerForInstanceSegmentation,
  PreTrainedConfig,
  ResNetConfig,
  SwinConfig,
)
from transformers.models.maskformer.configuration_maskformer import MaskFormerDetrConfig

from official.parity.case import Side, Trainer
from official.parity.recorders.structures import map_leaves
from official.parity.recorders.torch_trainer import TorchTrainer
from projects.maskformer.reference import training
from projects.maskformer.reference.recipe import Recipe
from projects.maskformer.reference.weights import draw

BACKBONE = "model.pixel_level_module.encoder"

_STAGES = ["stage1", "stage2", "stage3", "stage4"]
_WEIGHTS = {"class_loss": 1.0, "mask_loss": 20.0, "dice_loss": 1.0}
_NO_OBJECT = 0.1
_TERMS = {"loss_cross_entropy": "class_loss", "loss_mask": "mask_loss", "loss_dice": "dice_loss"}


def resnet_50() -> PreTrainedConfig:
  """ResNet-50, whose bottlenecks have their stride in the 3×3 convolution."""
  return ResNetConfig(out_features=_STAGES)


def swin_tiny() -> PreTrainedConfig:
  """Swin-T without stochastic depth."""
  sizes = {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24]}
  return SwinConfig(**sizes, window_size=7, drop_path_rate=0.0, out_features=_STAGES)


class FrozenBatchNorm(nn.Module):
  """The statistics and affine of a BatchNorm, none of which is trained.

  Args:
    norm: whose place it takes.
  """

  def __init__(self, norm: nn.BatchNorm2d) -> None:
    super().__init__()
    self.eps = norm.eps
    for name in ("weight", "bias", "running_mean", "running_var"):
      self.register_buffer(name, getattr(norm, name).detach().clone())

  def forward(self, x: Tensor) -> Tensor:
    """[b, c, h, w] → [b, c, h, w]."""
    statistics = (self.running_mean, self.running_var)
    return nn.functional.batch_norm(x, *statistics, self.weight, self.bias, eps=self.eps)


class Network(nn.Module):
  """transformers' network with the outputs of all decoder layers."""

  def __init__(self, model: MaskFormerForInstanceSegmentation) -> None:
    super().__init__()
    self.model = model.model
    self.class_predictor = model.class_predictor
    self.mask_embedder = model.mask_embedder

  def forward(self, images: Tensor) -> dict[str, Any]:
    """[b, 3, h, w] → class_logits, mask_logits, and `auxiliary` of earlier layers."""
    decoder = self.model.transformer_module.decoder
    norm = decoder.layernorm
    with _inputs_of(decoder.layers[1:]) as earlier:
      found = self.model(images)
    last = found.transformer_decoder_last_hidden_state
    queries = torch.stack([*map(norm, earlier), last])  # [l, b, q, c]
    pixels, embeddings = found.pixel_decoder_last_hidden_state, self.mask_embedder(queries)
    masks = torch.einsum("lbqc,bchw->lbqhw", embeddings, pixels)
    classes = self.class_predictor(queries)
    *auxiliary, outputs = (
      {"class_logits": logits, "mask_logits": mask}
      for logits, mask in zip(classes, masks, strict=True)
    )
    return outputs | {"auxiliary": auxiliary}


@contextlib.contextmanager
def _inputs_of(layers: Iterable[nn.Module]) -> Iterator[list[Tensor]]:
  """What the layers are called with meanwhile.

  transformers' own list of hidden states has what a layer returned before others' hooks saw it.
  """
  inputs: list[Tensor] = []
  hooks = [
    layer.register_forward_pre_hook(lambda _, args: inputs.append(args[0])) for layer in layers
  ]
  try:
    yield inputs
  finally:
    for hook in hooks:
      hook.remove()


class Criterion:
  """All terms without weights, and "total" with them.

  Args:
    criterion: of transformers' network, which is moved.
    dtype: in which losses are computed.
  """

  def __init__(self, criterion: nn.Module, dtype: torch.dtype) -> None:
    self._criterion, self._dtype = criterion.to(dtype), dtype

  def __call__(self, outputs: Mapping[str, Any], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    outputs = map_leaves(lambda _, x: x.to(self._dtype), outputs)
    found = self._terms(outputs, batch)
    for index, auxiliary in enumerate(outputs["auxiliary"]):
      terms = self._terms(auxiliary, batch)
      found |= {f"{name}_{index}": term for name, term in terms.items()}
    total = sum(
      weight * term
      for kind, weight in self.weights.items()
      for name, term in found.items()
      if name.startswith(kind)
    )
    return found | {"total": total}

  @property
  def weights(self) -> dict[str, float]:
    """Of the terms, by name."""
    own = self._criterion.weight_dict
    return {ours: own[theirs] for theirs, ours in _TERMS.items()}

  @property
  def no_object(self) -> float:
    """The weight of queries without a target."""
    return self._criterion.eos_coef

  def _terms(self, outputs: Mapping[str, Any], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    valid = batch["valid"]
    classes = [c[v].long() for c, v in zip(batch["classes"], valid, strict=True)]
    masks = [m[v].to(self._dtype) for m, v in zip(batch["masks"], valid, strict=True)]
    logits, mask_logits = outputs["class_logits"], outputs["mask_logits"]
    matches = self._criterion.matcher(mask_logits, logits, masks, classes)
    count = max(int(valid.sum()), 1)
    losses = self._criterion.loss_masks(mask_logits, masks, matches, count)
    losses |= self._criterion.loss_labels(logits, classes, matches)
    return {ours: losses[theirs] for theirs, ours in _TERMS.items()}


class Original:
  """One network and what the original does with it.

  Args:
    backbone: its configuration.
    classes: that it tells apart.
    recipe: of its training.
    precision: of the network.
    seed: of its weights.
  """

  def __init__(
    self,
    backbone: PreTrainedConfig,
    classes: int,
    recipe: Recipe,
    precision: str,
    seed: int,
  ) -> None:
    with _float64_by_default():
      model = MaskFormerForInstanceSegmentation(_config(backbone, classes))
    _freeze(model)
    self.network = Network(model)
    _set_weights(self.network, seed)
    self.network.to(getattr(torch, precision))
    exact = torch.promote_types(getattr(torch, precision), torch.float32)
    self.losses = Criterion(model.criterion, exact)
    self.recipe = recipe

  def side(self) -> Side:
    """What parity compares."""
    return Side(
      network=self.network,
      forward=self.forward,
      losses=self.losses,
      trainer=self.trainer,
      settings=self.settings(),
    )

  def forward(self, batch: Mapping[str, Tensor], training: bool) -> dict[str, Any]:
    """Outputs of all decoder layers; the mode is the modules' own."""
    del training
    return self.network(batch["images"])

  def trainer(self) -> Trainer:
    """Trains the network as the recipe says."""
    optimizer = training.make_optimizer(self.network, BACKBONE, self.recipe)
    schedule = training.make_schedule(optimizer, self.recipe)
    return TorchTrainer(
      self.network, optimizer, self.losses, self.forward, schedule, clip=training.clip
    )

  def settings(self) -> dict[str, Any]:
    """Figures under the names that the candidate uses too."""
    decoder = self.network.model.config.decoder_config
    return {
      "queries": decoder.num_queries,
      "classes": self.network.model.config.num_labels,
      "encoder layers": 0,
      "decoder layers": decoder.decoder_layers,
      "heads": decoder.decoder_attention_heads,
      "weights": list(self.losses.weights.values()),
      "no-object weight": self.losses.no_object,
    } | self.recipe.settings()


def _config(backbone: PreTrainedConfig, classes: int) -> MaskFormerConfig:
  decoder = MaskFormerDetrConfig(dropout=0.0, attn_implementation="eager", use_timm_backbone=False)
  return MaskFormerConfig(
    backbone_config=backbone,
    decoder_config=decoder,
    num_labels=classes,
    no_object_weight=_NO_OBJECT,
    mask_weight=_WEIGHTS["mask_loss"],
    dice_weight=_WEIGHTS["dice_loss"],
    cross_entropy_weight=_WEIGHTS["class_loss"],
  )


def _freeze(module: nn.Module) -> None:
  for name, child in module.named_children():
    if isinstance(child, nn.BatchNorm2d):
      setattr(module, name, FrozenBatchNorm(child))
    else:
      _freeze(child)


def _set_weights(network: nn.Module, seed: int) -> None:
  state = {name: t for name, t in network.state_dict().items() if t.is_floating_point()}
  drawn = draw({name: tensor.shape for name, tensor in state.items()}, seed)
  for name, tensor in state.items():
    tensor.copy_(torch.from_numpy(drawn[name]))


@contextlib.contextmanager
def _float64_by_default() -> Iterator[None]:
  """Constants of modules made inside are exact in float64, not rounded to float32 before."""
  before = torch.get_default_dtype()
  torch.set_default_dtype(torch.float64)
  try:
    yield
  finally:
    torch.set_default_dtype(before)
