"""transformers' MaskFormer, trained by PyTorch on our batches and evaluated by our task."""

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import torch
from torch import nn
from tqdm import tqdm
from transformers import MaskFormerConfig, MaskFormerForInstanceSegmentation, ResNetConfig
from transformers.models.maskformer import modeling_maskformer as transformers_losses
from transformers.models.maskformer.configuration_maskformer import MaskFormerDetrConfig
from transformers.models.resnet.modeling_resnet import ResNetConvLayer

from official.core import config_definitions as cfg
from projects.maskformer.configs.maskformer import MaskFormerTask as Config
from projects.maskformer.dataloaders import targets
from projects.maskformer.dataloaders.normalization import normalize
from projects.maskformer.modeling.variants import get_variant
from projects.maskformer.reference import training
from projects.maskformer.reference.hugging_face import BACKBONE, Criterion, Network
from projects.maskformer.reference.recipe import Recipe
from projects.maskformer.tasks.maskformer import MaskFormerTask

_KEEP_EVERY = 500  # Steps.


def train_and_evaluate(params: cfg.ExperimentConfig, seed: int, kept: Path) -> float:
  """PQ on the validation data after training as `params` say.

  Goes on from the file `kept`, where there is one, and writes it as it goes.
  """
  torch.manual_seed(seed)
  task = MaskFormerTask(params.task)
  model = MaskFormerForInstanceSegmentation(_sizes(params.task))
  _deepen_stem(model, get_variant(params.task.model.variant).backbone.stem)
  model.to(memory_format=torch.channels_last)
  _hasten_losses()
  network, criterion = Network(model), Criterion(model.criterion, torch.float32)
  optimizer, schedule = _optimizer(network, params)
  clip_norm = params.trainer.optimizer_config.optimizer.get().clip_norm
  parts = {"network": network, "optimizer": optimizer, "schedule": schedule}
  start = _resume(parts, kept)
  batches = iter(task.build_inputs(params.task.train_data, start_step=start))
  network.train()
  steps = params.trainer.train_steps
  for step in tqdm(range(start, steps), initial=start, total=steps, mininterval=10):
    images, labels = next(batches)
    batch = {name: torch.from_numpy(array) for name, array in _arrays(labels).items()}
    optimizer.zero_grad(set_to_none=True)
    criterion(network(_pixels(images)), batch)["total"].backward()
    nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
    optimizer.step()
    schedule.step()
    if (step + 1) % _KEEP_EVERY == 0:
      _keep(parts, step + 1, kept)
  return _evaluate(task, network)


def _keep(parts: Mapping[str, Any], step: int, path: Path) -> None:
  states = {name: part.state_dict() for name, part in parts.items()}
  path.parent.mkdir(parents=True, exist_ok=True)
  torch.save(states | {"step": step}, path.with_suffix(".new"))
  os.replace(path.with_suffix(".new"), path)


def _resume(parts: Mapping[str, Any], path: Path) -> int:
  """Fills `parts` from `path`; returns the step to go on from."""
  if not path.exists():
    return 0
  states = torch.load(path, weights_only=True)
  for name, part in parts.items():
    part.load_state_dict(states[name])
  return states["step"]


def _hasten_losses() -> None:
  """Computes transformers' mask losses, half of its step, by fused loops and products."""
  nn.functional.interpolate = _by_products(nn.functional.interpolate)
  for name in ("sigmoid_focal_loss", "dice_loss"):
    setattr(transformers_losses, name, _compiled(getattr(transformers_losses, name)))


def _compiled(loss: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
  # The number of masks stays outside: it would be a symbol that the compiler cannot compare.
  summed = torch.compile(lambda inputs, labels: loss(inputs, labels, 1), dynamic=True)
  return lambda inputs, labels, masks: summed(inputs, labels) / masks


def _by_products(usual: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
  """The interpolation `usual`, bilinearly by two products: a tenth of its time with gradients."""

  @functools.wraps(usual)
  def interpolate(x: torch.Tensor, size: torch.Size, mode: str, **options: bool) -> torch.Tensor:
    if mode != "bilinear":
      return usual(x, size=size, mode=mode)
    rows, columns = (
      usual(torch.eye(old)[None], size=new, mode="linear", **options)[0]
      for old, new in zip(x.shape[-2:], size, strict=True)
    )
    return rows.T @ x @ columns

  return interpolate


def _sizes(task: Config) -> MaskFormerConfig:
  variant, losses = get_variant(task.model.variant), task.losses
  sizes = variant.backbone
  backbone = ResNetConfig(
    embedding_size=sizes.stem,
    hidden_sizes=list(sizes.filters),
    depths=list(sizes.depths),
    out_features=[f"stage{index + 1}" for index in range(len(sizes.depths))],
  )
  decoder = MaskFormerDetrConfig(
    d_model=variant.width,
    decoder_layers=variant.decoder_layers,
    decoder_attention_heads=variant.heads,
    decoder_ffn_dim=variant.hidden,
    num_queries=variant.queries,
    dropout=0.0,
    use_timm_backbone=False,
  )
  return MaskFormerConfig(
    fpn_feature_size=variant.width,
    mask_feature_size=variant.width,
    backbone_config=backbone,
    decoder_config=decoder,
    num_labels=task.model.num_classes,
    no_object_weight=losses.no_object,
    cross_entropy_weight=losses.classes,
    mask_weight=losses.mask,
    dice_weight=losses.dice,
  )


def _deepen_stem(model: nn.Module, filters: int) -> None:
  """Puts three 3×3 convolutions for the 7×7 one: transformers' ResNet has no such stem.

  They are drawn as ours are: without a mean over the window.
  """
  embeddings = model.model.pixel_level_module.encoder.embedder
  embeddings.embedder = nn.Sequential(
    ResNetConvLayer(3, filters // 2, 3, stride=2),
    ResNetConvLayer(filters // 2, filters // 2, 3),
    ResNetConvLayer(filters // 2, filters, 3),
  )
  for layer in embeddings.embedder:
    kernel = layer.convolution.weight
    nn.init.kaiming_normal_(kernel, mode="fan_out", nonlinearity="relu")
    kernel.data -= kernel.data.mean(dim=(2, 3), keepdim=True)


def _optimizer(
  network: nn.Module, params: cfg.ExperimentConfig
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
  config = params.trainer.optimizer_config
  rate, warmup = config.learning_rate.get(), config.warmup.get()
  decay, backbone = config.optimizer.get().weight_decay, params.task.backbone_multiplier
  recipe = Recipe(rate.initial_learning_rate, decay, backbone)
  optimizer = training.make_optimizer(network, BACKBONE, recipe)

  def share(step: int) -> float:
    risen = min(step / warmup.warmup_steps, 1.0)
    warmth = warmup.factor * (1 - risen) + risen
    return warmth * max(1 - step / rate.decay_steps, 0.0) ** rate.power

  return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, share)


def _pixels(images: tf.Tensor) -> torch.Tensor:
  return torch.from_numpy(normalize(images).numpy()).permute(0, 3, 1, 2)


def _arrays(labels: Mapping[str, Any]) -> dict[str, np.ndarray]:
  return {name: tensor.numpy() for name, tensor in targets.expand(labels).items()}


def _evaluate(task: MaskFormerTask, network: nn.Module) -> float:
  network.eval()
  state = None
  for images, labels in task.build_inputs(task.task_config.validation_data):
    with torch.inference_mode():
      outputs = network(_pixels(images))
    logs = {name: (outputs[name].numpy(),) for name in ("class_logits", "mask_logits")}
    logs |= {"shown": (labels["shown"],)}
    logs["groundtruths"] = {name: (value,) for name, value in labels["groundtruths"].items()}
    state = task.aggregate_logs(state, logs)
  return task.reduce_aggregated_logs(state)["PQ"]
