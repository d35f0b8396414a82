"""Which of facebookresearch's modules is which of our layers."""

import itertools

from official.parity.case import Excuse
from projects.maskformer.modeling.variants import SwinSizes, Variant
from projects.maskformer.reference.correspondence import Same, excuses, under

_SEQUENCE = "n b c -> b n c"

# A convolution of detectron2 has its normalization inside, and the rectifier outside; ours has both
# inside. So only those without a rectifier put out the same.
_CONV = Same("", "conv", "conv_no_bias", output=False)
_NORM = Same("norm", "norm", "frozen_norm", output=False)
_RECTIFIED = (_CONV, _NORM)
_LINEAR = (_CONV, _NORM, Same("", ""))
_GROUPED = (_CONV, Same("norm", "norm", "norm"), Same("", ""))

_BOTTLENECK = (
  *under("conv1", "reduce", _RECTIFIED),
  *under("conv2", "conv", _RECTIFIED),
  *under("conv3", "expand", _LINEAR),
  *under("shortcut", "shortcut", _LINEAR),
  Same("", ""),
)


_STEM = (*under("stem.conv1", "stem/conv", _RECTIFIED), Same("stem", "stem"))
_DEEP_STEM = (*under("stem.conv{i+1}", "stem/conv{i}", _RECTIFIED), Same("stem", "stem"))
_STAGES_OF_RESNET = (
  *under("res{s+2}.{i}", "stage{s}/block{i}", _BOTTLENECK),
  Same("res{s+2}", "stage{s}"),
  Same(":res{s+2}", ":{s}"),
)
_SWIN_BLOCK = (
  Same("norm1", "attention_norm", "norm", output=False),
  Same("attn.qkv", "attention", "stacked", output=False),
  Same("attn", "attention", "relative_bias", output=False),
  Same("attn.proj", "attention/output", "linear", output=False),
  Same("norm2", "mlp_norm", "norm", output=False),
  Same("mlp.fc1", "mlp/expand", "linear", output=False),
  Same("mlp.fc2", "mlp/reduce", "linear", output=False),
)
_SWIN = (  # Variables alone: parity takes Swin from transformers.
  Same("patch_embed.proj", "embedding/projection", "conv", output=False),
  Same("patch_embed.norm", "embedding/norm", "norm", output=False),
  *under("layers.{s}.blocks.{i}", "stage{s}/block{i}", _SWIN_BLOCK),
  Same("layers.{s}.downsample.norm", "merge{s+1}/norm", "norm", output=False),
  Same("layers.{s}.downsample.reduction", "merge{s+1}/reduction", "linear_no_bias", output=False),
)
_SWIN_OUTPUTS = (Same("norm{s}", "norm{s}", "norm", output=False),)


def _pyramid(levels: int) -> tuple[Same, ...]:
  """Levels are counted from the finest on there, and steps from the coarsest on here."""
  steps = (
    (
      *under(f"adapter_{levels - 1 - index}", f"step{index}/lateral", _GROUPED),
      *under(f"layer_{levels - 1 - index}", f"step{index}/smooth", _GROUPED),
    )
    for index in range(levels - 1)
  )
  return (
    *under(f"layer_{levels}", "stem", _GROUPED),
    *itertools.chain.from_iterable(steps),
    Same("mask_features", "embedding", "conv"),
  )


def _attention(theirs: str, ours: str) -> tuple[Same, ...]:
  return (
    Same(theirs, ours, "attention", output=False),
    Same(f"{theirs}:0", ours, layout=_SEQUENCE),
  )


def _norm(theirs: str, ours: str) -> Same:
  return Same(theirs, ours, "norm", _SEQUENCE)


_MLP = (
  Same("linear1", "mlp/expand", "linear", _SEQUENCE),
  Same("linear2", "mlp/reduce", "linear", _SEQUENCE),
)
_ENCODER_LAYER = (
  *_attention("self_attn", "attention"),
  _norm("norm1", "attention_norm"),
  *_MLP,
  _norm("norm2", "mlp_norm"),
  Same("", "", layout=_SEQUENCE),
)
_ENCODER = (
  Same("input_proj", "projection", "conv"),
  Same("pe_layer", "positions"),
  *under("transformer.encoder.layers.{i}", "layer{i}", _ENCODER_LAYER),
  Same("transformer", ""),
)
_DECODER_LAYER = (
  *_attention("self_attn", "self_attention"),
  _norm("norm1", "self_attention_norm"),
  *_attention("multihead_attn", "cross_attention"),
  _norm("norm2", "cross_attention_norm"),
  *_MLP,
  _norm("norm3", "mlp_norm"),
  Same("", "", layout=_SEQUENCE),
)
_DECODER = (
  Same("pe_layer", "positions"),
  Same("query_embed", "", "query_positions", output=False),
  *under("transformer.decoder.layers.{i}", "layer{i}", _DECODER_LAYER),
  # The original normalizes the last layer's queries twice, and uses the second outcome.
  _norm("transformer.decoder.norm", "norm"),
  Same("transformer.decoder.norm#5", "norm#6", layout=_SEQUENCE),
  Same("transformer.decoder.norm#6", "norm#5", layout=_SEQUENCE),
)
_PROJECTION = Same("input_proj", "projection", "conv")  # Where widths differ.

# The original's heads see all layers at once, [l, b, q, c]; ours see [b, l · q, c].
_LAYERS = "l b q c -> b (l q) c"
_MASK_HEAD = (
  Same("mask_embed.layers.{i}", "mask_embedding/fc{i}", "linear", _LAYERS),
  Same("mask_embed", "mask_embedding", layout=_LAYERS),
)
_CLASS_HEAD = (Same("class_embed", "classes", "linear", _LAYERS),)
_PIXEL_HEAD = (Same("", "classes", "conv", output=False),)
_MASKS, _CLASSES = "b q h w -> b q h w", "b q c -> b q c"
_OUTPUTS = (
  Same(":pred_logits", ":class_logits", layout=_CLASSES),
  Same(":pred_masks", ":mask_logits", layout=_MASKS),
  Same(":aux_outputs.{i}.pred_logits", ":auxiliary.{i}.class_logits", layout=_CLASSES),
  Same(":aux_outputs.{i}.pred_masks", ":auxiliary.{i}.mask_logits", layout=_MASKS),
)


def backbone(variant: Variant, pretrained: bool = False) -> tuple[Same, ...]:
  """What corresponds in its backbone, whose names begin there.

  Args:
    variant: the network.
    pretrained: whether without the normalizations that Swin has for detectors alone.
  """
  if isinstance(variant.backbone, SwinSizes):
    return _SWIN if pretrained else (*_SWIN, *_SWIN_OUTPUTS)
  return (*(_DEEP_STEM if variant.backbone.deep_stem else _STEM), *_STAGES_OF_RESNET)


def table(variant: Variant) -> tuple[Same, ...]:
  """What corresponds in the whole network."""
  pixels, predictor = "sem_seg_head.pixel_decoder", "sem_seg_head.predictor"
  return (
    *under("backbone", "backbone", backbone(variant)),
    *under(pixels, "pixel_decoder", _pyramid(len(variant.backbone.depths))),
    *under(pixels, "encoder", _ENCODER if variant.encoder_layers else ()),
    *under(predictor, "decoder", _queries(variant)),
    *under(predictor, "heads", _heads(variant)),
    *(_OUTPUTS if variant.kind == "mask" else ()),
  )


def _queries(variant: Variant) -> tuple[Same, ...]:
  if variant.kind == "per_pixel":
    return ()
  return _DECODER if variant.encoder_layers else (*_DECODER, _PROJECTION)


def _heads(variant: Variant) -> tuple[Same, ...]:
  if variant.kind == "per_pixel":
    return _PIXEL_HEAD
  return (*_CLASS_HEAD, *_MASK_HEAD) if variant.kind == "mask" else _MASK_HEAD


_RECTIFIER = "the rectifier follows outside; ours is seen behind it, by the next convolution"
_HANDS_ON = "hands on what its parts return"
_DROPPED = "an identity: nothing is dropped"
_WEIGHTS = "attention weights; ours returns what they make of the values"
_OURS = "ours alone; seen by what follows"

EXCUSES = (
  *excuses(
    "backbone",
    {
      "stem.conv1": _RECTIFIER,
      "{stage}.{i}.conv1": _RECTIFIER,
      "{stage}.{i}.conv2": _RECTIFIER,
      "{path*}.norm": "what its convolution returns",
    },
  ),
  *excuses(
    "sem_seg_head",
    {
      "{path*}.dropout": _DROPPED,
      "{path*}.dropout1": _DROPPED,
      "{path*}.dropout2": _DROPPED,
      "{path*}.dropout3": _DROPPED,
      "{path*}attn:1": _WEIGHTS,
      "pixel_decoder.transformer.encoder": _HANDS_ON,
      "predictor.input_proj": "an identity: widths are equal",
      "predictor.transformer.encoder": "has no layers",
      "predictor.transformer.decoder.norm#5": "unused: the same follows once more",
      "predictor.transformer.decoder": _HANDS_ON,
      "predictor.transformer:{leaf}": _HANDS_ON,
      "predictor:{leaf*}": _HANDS_ON,
      ":{leaf*}": _HANDS_ON,
    },
  ),
  *(
    Excuse(f"output/{name}", _OURS)
    for name in (
      "backbone/stem/conv",
      "backbone/stem/pool",
      "backbone/{stage}/{block}/reduce",
      "backbone/{stage}/{block}/conv",
      "{path*}attention/query",
      "{path*}attention/key",
      "{path*}attention/value",
      "{path*}attention/output",
      "{path*}/mlp",
      "pixel_decoder",
      "pixel_decoder/stem/conv",
      "pixel_decoder/{step}/lateral/conv",
      "pixel_decoder/{step}/smooth/conv",
      "pixel_decoder/step{i}",
      "decoder:{i}",
      "heads:{leaf}",
    )
  ),
)
