"""Which weights decay, and which learn slower: by what a variable is, not by its name."""

from typing import Any

import tf_keras

from official.layers.normalization import BatchNorm
from official.training.adamw import Group
from projects.maskformer.modeling.backbones.swin_block import WindowAttention
from projects.maskformer.modeling.normalization import GroupNorm, LayerNorm
from projects.maskformer.modeling.transformer_decoder import TransformerDecoder

_NORMS = (BatchNorm, GroupNorm, LayerNorm)


def groups(model: tf_keras.Model, backbone_multiplier: float) -> dict[Any, Group]:
  """The group of each trainable variable, by its `ref()`, as the original's `build_optimizer`.

  Norms, queries' positions and Swin's tables of relative positions do not decay; biases do. The
  backbone's learning rate, all its norms and tables included, is multiplied.

  Args:
    model: with its variables made; its backbone is the layer `backbone`.
    backbone_multiplier: of the learning rate.
  """
  still = {variable.ref() for layer in model.submodules for variable in _undecayed(layer)}
  slow = {variable.ref() for variable in model.backbone.trainable_variables}
  return {
    ref: Group(backbone_multiplier if ref in slow else 1.0, decays=ref not in still)
    for ref in (variable.ref() for variable in model.trainable_variables)
  }


def _undecayed(layer: Any) -> list[Any]:
  """The layer's own variables that do not decay."""
  if isinstance(layer, _NORMS):
    return layer.trainable_variables
  if isinstance(layer, TransformerDecoder):
    return [layer.query_positions]
  if isinstance(layer, WindowAttention):
    return [layer.relative_bias]
  return []
