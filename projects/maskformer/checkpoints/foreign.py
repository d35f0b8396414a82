"""Files that a MaskFormer can be filled from: facebookresearch's, transformers', ImageNet's.

Names are those of `reference`'s tables, by which parity compares the networks.
"""

import functools
from collections.abc import Callable, Mapping

import numpy as np

from official.checkpoints.rules import Ignore, Rule
from official.checkpoints.schemes import ForeignFiles, Scheme, Shapes
from projects.maskformer.checkpoints.identify import identify
from projects.maskformer.configs.maskformer import MaskFormerTask
from projects.maskformer.modeling.backbones.windows import relative_index
from projects.maskformer.modeling.variants import SwinSizes, Variant, get_variant
from projects.maskformer.reference import hugging_face_names, original_names
from projects.maskformer.reference.correspondence import under, weights

Arrays = dict[str, np.ndarray]

_COUNTS = Ignore("{path*}.num_batches_tracked", "only counts batches; a momentum is constant here")
_INDEX = Ignore("{path*}.relative_position_index", "a constant of ours")
_NO_OBJECT = Ignore("criterion.empty_weight", "of the loss: task.losses.no_object")
_CLASSIFIER = "tells ImageNet's classes"

# Before its version 2, the original's heads were their own pixel decoders. Its model zoo is older,
# and files that do not state a version are taken for older ones.
_OLDER_PARTS = ("adapter_{i}", "layer_{i}", "mask_features", "input_proj", "transformer")
_OLDER = {
  f"sem_seg_head.{part}.{{leaf*}}": f"sem_seg_head.pixel_decoder.{part}.{{leaf*}}"
  for part in _OLDER_PARTS
}
# transformers 5 saves modules that it has renamed under their old names.
_LAYER = "model.transformer_module.decoder.layers.{i}"
_SAVED = {
  f"{_LAYER}.{{kind}}.out_proj.{{leaf}}": f"{_LAYER}.{{kind}}.o_proj.{{leaf}}",
  f"{_LAYER}.fc{{n}}.{{leaf}}": f"{_LAYER}.mlp.fc{{n}}.{{leaf}}",
}
_TORCHVISION = {
  "conv1.{leaf}": "stem.conv1.{leaf}",
  "bn1.{leaf}": "stem.conv1.norm.{leaf}",
  "fc.{leaf}": "stem.fc.{leaf}",
  "layer{s}.{i}.conv{n}.{leaf}": "res{s+1}.{i}.conv{n}.{leaf}",
  "layer{s}.{i}.bn{n}.{leaf}": "res{s+1}.{i}.conv{n}.norm.{leaf}",
  "layer{s}.{i}.downsample.0.{leaf}": "res{s+1}.{i}.shortcut.{leaf}",
  "layer{s}.{i}.downsample.1.{leaf}": "res{s+1}.{i}.shortcut.norm.{leaf}",
}


def foreign_files(task: MaskFormerTask) -> ForeignFiles:
  """The files for the network that `task` configures.

  Raises:
    UserError: there is no such variant.
  """
  variant = get_variant(task.model.variant)
  schemes = [_original(variant, task.losses.no_object), _imagenet(variant)]
  if table := hugging_face_names.table(variant):
    schemes.insert(1, _transformers(weights(table), task.losses.no_object))
  current = task.model.variant, task.model.num_classes
  return ForeignFiles(schemes, functools.partial(identify, current))


def _original(variant: Variant, no_object: float) -> Scheme:
  """As `configs/*.yaml` of the original build it, and its model zoo holds it."""
  normalization = "of the input, which is normalized alike"
  return Scheme(
    name="facebookresearch",
    rules=(
      *weights(original_names.table(variant)),
      *(Ignore(name, normalization) for name in ("pixel_mean", "pixel_std")),
      *(_COUNTS, _INDEX, _NO_OBJECT),
    ),
    container="model",
    aliases=_OLDER,
    extras=_extras("sem_seg_head.predictor.class_embed.weight", no_object),
  )


def _transformers(rules: tuple[Rule | Ignore, ...], no_object: float) -> Scheme:
  """`MaskFormerForInstanceSegmentation`."""
  extras = _extras("class_predictor.weight", no_object)
  return Scheme(
    name="transformers",
    rules=(*rules, _COUNTS, _NO_OBJECT, *hugging_face_names.SWIN_IGNORED),
    aliases=_SAVED,
    extras=lambda shapes: extras(shapes) | _counts(shapes) | _unused_norm(shapes),
  )


def _imagenet(variant: Variant) -> Scheme:
  """What the original starts from: detectron2's and Swin's classifiers, and torchvision's."""
  is_swin = isinstance(variant.backbone, SwinSizes)
  ends = ("norm", "head") if is_swin else ("stem.fc",)
  unmade = "only networks that find things have it; it starts as the identity"
  return Scheme(
    name="ImageNet",
    rules=(
      *weights(under("", "backbone", original_names.backbone(variant, pretrained=True))),
      *(Ignore(f"{end}.{{leaf}}", _CLASSIFIER) for end in ends),
      Ignore("{path*}.attn_mask", "a constant of ours"),
      *(_COUNTS, _INDEX),
    ),
    parts=("backbone",),
    container="model",
    aliases={} if is_swin else _TORCHVISION,
    initial={"backbone/norm{s}/{leaf}": unmade} if is_swin else {},
  )


def _extras(classifier: str, no_object: float) -> Callable[[Shapes], Arrays]:
  """Classes' weights in the loss, where there is a `classifier`, and Swin's indices."""

  def made(shapes: Shapes) -> Arrays:
    arrays = _indices(shapes)
    if classifier in shapes:
      balance = np.ones(shapes[classifier][0], np.float32)
      balance[-1] = no_object
      arrays["criterion.empty_weight"] = balance
    return arrays

  return made


def _indices(shapes: Shapes) -> Arrays:
  tables = {name: rows for name, (rows, *_) in _ending(shapes, "_bias_table").items()}
  return {
    name.replace("_bias_table", "_index"): relative_index((round(rows**0.5) + 1) // 2)
    for name, rows in tables.items()
  }


def _counts(shapes: Shapes) -> Arrays:
  means = _ending(shapes, "running_mean")
  return {f"{name[:-12]}num_batches_tracked": np.array(0, np.int64) for name in means}


def _unused_norm(shapes: Shapes) -> Arrays:
  """Swin's normalization behind its last stage, on which no output depends."""
  encoder = "model.pixel_level_module.encoder"
  widths = [
    shape[0] for name, shape in shapes.items() if name.startswith(f"{encoder}.hidden_states_norms")
  ]
  if not widths:
    return {}
  scale, shift = np.ones(max(widths), np.float32), np.zeros(max(widths), np.float32)
  return {
    f"{encoder}.model.layernorm.{name}": x for name, x in (("weight", scale), ("bias", shift))
  }


def _ending(shapes: Shapes, end: str) -> Mapping[str, tuple[int, ...]]:
  return {name: shape for name, shape in shapes.items() if name.endswith(end)}
