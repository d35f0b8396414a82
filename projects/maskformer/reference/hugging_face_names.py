"""Which of transformers' modules is which of our layers."""

from official.checkpoints.rules import Ignore
from official.parity.case import Excuse
from projects.maskformer.modeling.variants import SwinSizes, Variant
from projects.maskformer.reference.correspondence import Same, excuses, under

_ENCODER = "model.pixel_level_module.encoder"
_DECODER = "model.pixel_level_module.decoder"
_TRANSFORMER = "model.transformer_module"
_ROWS = "b (h w) c -> b h w c"
_LAYERS = "l b q c -> b (l q) c"

_CONV = (
  Same("convolution", "conv", "conv_no_bias", output=False),
  Same("normalization", "norm", "frozen_norm", output=False),
  Same("", ""),
)
_BOTTLENECK = (
  *under("layer.0", "reduce", _CONV),
  *under("layer.1", "conv", _CONV),
  *under("layer.2", "expand", _CONV),
  *under("shortcut", "shortcut", _CONV),
  Same("", ""),
)
_RESNET = (
  *under("embedder.embedder", "stem/conv", _CONV),
  Same("embedder.pooler", "stem/pool"),
  Same("embedder", "stem"),
  *under("encoder.stages.{s}.layers.{i}", "stage{s}/block{i}", _BOTTLENECK),
  Same("encoder.stages.{s}", "stage{s}"),
  Same(":feature_maps.{s}", ":{s}"),
)
_SWIN_BLOCK = (
  Same("layernorm_before", "attention_norm", "norm", _ROWS),
  Same("attention.self.query", "attention/query", "linear"),
  Same("attention.self.key", "attention/key", "linear"),
  Same("attention.self.value", "attention/value", "linear"),
  Same("attention.self", "attention", "relative_bias", output=False),
  Same("attention.output.dense", "attention/output", "linear"),
  Same("attention:0", "attention"),
  Same("layernorm_after", "mlp_norm", "norm", _ROWS),
  Same("intermediate.dense", "mlp/expand", "linear", _ROWS),
  Same("output.dense", "mlp/reduce", "linear", _ROWS),
  Same("output", "mlp", layout=_ROWS),
  Same(":0", "", layout=_ROWS),
)
_MERGING = (
  Same("norm", "norm", "norm", _ROWS),
  Same("reduction", "reduction", "linear_no_bias", _ROWS),
  Same("", "", layout=_ROWS),
)
_SWIN = (
  Same("model.embeddings.patch_embeddings.projection", "embedding/projection", "conv"),
  Same("model.embeddings.norm", "embedding/norm", "norm", _ROWS),
  Same("model.embeddings:0", "embedding", layout=_ROWS),
  *under("model.encoder.layers.{s}.blocks.{i}", "stage{s}/block{i}", _SWIN_BLOCK),
  *under("model.encoder.layers.{s}.downsample", "merge{s+1}", _MERGING),
  Same("hidden_states_norms.{s}", "norm{s}", "norm", _ROWS),
  Same(":feature_maps.{s}", ":{s}"),
)

_GROUPED = (Same("0", "conv", "conv_no_bias"), Same("1", "norm", "norm"), Same("", ""))
_PYRAMID = (
  *under("fpn.stem", "stem", _GROUPED),
  *under("fpn.layers.{i}.proj", "step{i}/lateral", _GROUPED),
  *under("fpn.layers.{i}.block", "step{i}/smooth", _GROUPED),
  Same("fpn.layers.{i}", "step{i}"),
  Same("mask_projection", "embedding", "conv"),
  Same(":last_hidden_state", ""),
)

_ATTENTION = (
  Same("q_proj", "query", "linear"),
  Same("k_proj", "key", "linear"),
  Same("v_proj", "value", "linear"),
  Same("o_proj", "output", "linear"),
  Same(":0", ""),
)
_LAYER = (
  *under("self_attn", "self_attention", _ATTENTION),
  Same("self_attn_layer_norm", "self_attention_norm", "norm"),
  *under("encoder_attn", "cross_attention", _ATTENTION),
  Same("encoder_attn_layer_norm", "cross_attention_norm", "norm"),
  Same("mlp.fc1", "mlp/expand", "linear"),
  Same("mlp.fc2", "mlp/reduce", "linear"),
  Same("mlp", "mlp"),
  Same("final_layer_norm", "mlp_norm", "norm"),
  Same("", ""),
)
_NORM = "decoder.layernorm"  # The original's first call is of the last layer, ours of the first.
_CALLS = 5
_QUERIES = (
  Same("input_projection", "projection", "conv"),
  Same("position_embedder", "positions"),
  Same("queries_embedder", "", "query_positions", output=False),
  *under("decoder.layers.{i}", "layer{i}", _LAYER),
  Same(_NORM, "norm", "norm", output=False),
  Same(f"{_NORM}#1", "norm"),
  *(Same(f"{_NORM}#{call + 1}", f"norm#{call}") for call in range(1, _CALLS)),
  Same(_NORM, f"norm#{_CALLS}"),
)
_HEADS = (
  Same("class_predictor", "classes", "linear", _LAYERS),
  Same("mask_embedder.{i}.0", "mask_embedding/fc{i}", "linear", _LAYERS),
  Same("mask_embedder", "mask_embedding", layout=_LAYERS),
)
_MASKS, _CLASSES = "b q h w -> b q h w", "b q c -> b q c"
_OUTPUTS = (
  Same(":class_logits", ":class_logits", layout=_CLASSES),
  Same(":mask_logits", ":mask_logits", layout=_MASKS),
  Same(":auxiliary.{i}.class_logits", ":auxiliary.{i}.class_logits", layout=_CLASSES),
  Same(":auxiliary.{i}.mask_logits", ":auxiliary.{i}.mask_logits", layout=_MASKS),
)


def _table(backbone: tuple[Same, ...]) -> tuple[Same, ...]:
  return (
    *under(_ENCODER, "backbone", backbone),
    *under(_DECODER, "pixel_decoder", _PYRAMID),
    *under(_TRANSFORMER, "decoder", _QUERIES),
    *under("", "heads", _HEADS),
    *_OUTPUTS,
  )


RESNET = _table(_RESNET)
SWIN = _table(_SWIN)


def table(variant: Variant) -> tuple[Same, ...] | None:
  """What corresponds in the whole network; None where transformers has none like it."""
  if isinstance(variant.backbone, SwinSizes):
    return SWIN
  plain = variant.kind == "mask" and not variant.encoder_layers
  return RESNET if plain and not variant.backbone.deep_stem else None


_UNUSED = "no output of the backbone depends on it"
SWIN_IGNORED = (
  Ignore(f"{_ENCODER}.model.layernorm.{{name}}", _UNUSED),
  Ignore("{path*}.relative_position_index", "a constant of ours"),
)

_HANDS_ON = "hands on what its parts return"
_STEP = "a step inside one of our layers, seen through it"
_IDENTITY = "an identity: nothing is dropped"

EXCUSES = (
  *excuses(
    "",
    {
      f"{_DECODER}.fpn.stem.2": _STEP,
      f"{_DECODER}.fpn.layers.{{i}}.block.2": _STEP,
      f"{_DECODER}.fpn:{{leaf*}}": _HANDS_ON,
      f"{_TRANSFORMER}.decoder.layers.{{i}}.mlp.activation_fn": _STEP,
      f"{_TRANSFORMER}.decoder:{{leaf*}}": _HANDS_ON,
      f"{_TRANSFORMER}:{{leaf*}}": _HANDS_ON,
      "model:{leaf*}": _HANDS_ON,
      "model.pixel_level_module:{leaf*}": _HANDS_ON,
      "mask_embedder.{i}.1": _STEP,
      "mask_embedder.{i}": _HANDS_ON,
    },
  ),
  Excuse("output/heads:{leaf}", "ours alone: all layers' outputs in one"),
  Excuse("output/decoder:{i}", "ours alone: hands on what its normalization returns"),
)
RESNET_EXCUSES = excuses(
  _ENCODER,
  {
    "{path*}.convolution": _STEP,
    "{path*}.normalization": _STEP,
    "{path*}.activation": _STEP,
    "{path*}.layer": _HANDS_ON,
    **{
      f"encoder.stages.{s}.layers.{i}.shortcut": "an identity: nothing is projected"
      for s, depth in enumerate((3, 4, 6, 3))
      for i in range(1, depth)
    },
    "encoder:{leaf*}": _HANDS_ON,
  },
)
SWIN_EXCUSES = excuses(
  _ENCODER,
  {
    "{path*}.dropout": _IDENTITY,
    "{path*}.drop_path": _IDENTITY,
    "{path*}.intermediate_act_fn": _STEP,
    "{path*}.intermediate": _STEP,
    "{path*}.attention.self:0": _STEP,
    "{path*}.attention.output": _HANDS_ON,
    "model.embeddings.patch_embeddings:0": "the projection's output in rows",
    "model.encoder.layers.{s}:{leaf*}": _HANDS_ON,
    "model.encoder:{leaf*}": _HANDS_ON,
    "model:{leaf*}": _HANDS_ON,
    "model.layernorm": _UNUSED,
    "model.pooler": _UNUSED,
  },
) + (Excuse("output/backbone/stage{s}", "ours alone: hands on what its last block returns"),)
