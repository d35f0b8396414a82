"""Parity cases: our networks, at full size, against the originals.

COCO's ResNet-50 with the transformer pixel decoder against recordings of facebookresearch's; the
networks with the pyramid against transformers'. Two images of 136 × 104, nine segments.
"""

import functools
from collections.abc import Mapping
from typing import Any

from official.parity.case import Excuse, ParityCase, Side
from projects.maskformer.modeling.variants import get_variant
from projects.maskformer.reference import hugging_face_names, original_names, recorded
from projects.maskformer.reference.batch import batch
from projects.maskformer.reference.correspondence import Same, taps, weights
from projects.maskformer.reference.recipe import Recipe

_ADE_CLASSES, _COCO_CLASSES = 150, 133

_COCO_RECIPE = Recipe()
_ADE_RECIPE = Recipe(polynomial=True)
_SWIN_RECIPE = Recipe(6e-5, 0.01, 1.0, warmup_steps=4)

_LAYOUTS = {4: "b c h w -> b h w c"}
_BATCH_LAYOUTS = {"masks": "b n h w -> b n h w"}
_GROUPS = Excuse("rate/learning_rate.{group}", "groups of ours share a rate, times a factor")


def parity_cases() -> Mapping[str, ParityCase]:
  """The cases by variant."""
  return {
    "coco-r50": _coco_resnet(),
    "ade20k-r50": _ade20k_resnet(),
    "coco-swin-tiny": _coco_swin(),
  }


def _coco_resnet() -> ParityCase:
  table = original_names.table(get_variant("r50_encoder"))
  return ParityCase(
    name="maskformer/coco-r50",
    reference=None,
    recorded=functools.partial(recorded.restore, "coco-r50", _COCO_CLASSES),
    excuses=(*original_names.EXCUSES, _GROUPS),
    **_common("r50_coco_panoptic", _COCO_CLASSES, _COCO_RECIPE, table),
  )


def _ade20k_resnet() -> ParityCase:
  def reference(precision: str, seed: int) -> Side:
    from projects.maskformer.reference import hugging_face

    backbone = hugging_face.resnet_50()
    return hugging_face.Original(backbone, _ADE_CLASSES, _ADE_RECIPE, precision, seed).side()

  return ParityCase(
    name="maskformer/ade20k-r50",
    reference=reference,
    excuses=(*hugging_face_names.EXCUSES, *hugging_face_names.RESNET_EXCUSES, _GROUPS),
    **_common("r50_ade20k", _ADE_CLASSES, _ADE_RECIPE, hugging_face_names.RESNET),
  )


def _coco_swin() -> ParityCase:
  def reference(precision: str, seed: int) -> Side:
    from projects.maskformer.reference import hugging_face

    backbone = hugging_face.swin_tiny()
    return hugging_face.Original(backbone, _COCO_CLASSES, _SWIN_RECIPE, precision, seed).side()

  case = _common("swin_tiny_coco_panoptic", _COCO_CLASSES, _SWIN_RECIPE, hugging_face_names.SWIN)
  case["weights"] += hugging_face_names.SWIN_IGNORED
  return ParityCase(
    name="maskformer/coco-swin-tiny",
    reference=reference,
    excuses=(*hugging_face_names.EXCUSES, *hugging_face_names.SWIN_EXCUSES, _GROUPS),
    **case,
  )


def _common(row: str, classes: int, recipe: Recipe, table: tuple[Same, ...]) -> dict[str, Any]:
  def candidate(precision: str) -> Side:
    from projects.maskformer.reference.candidate import Candidate

    return Candidate(f"maskformer_{row}", recipe, precision).side()

  return {
    "candidate": candidate,
    "weights": weights(table),
    "taps": taps(table),
    "batch": functools.partial(batch, classes),
    "layouts": _LAYOUTS,
    "batch_layouts": _BATCH_LAYOUTS,
  }
