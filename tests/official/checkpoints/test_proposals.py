"""Drafts of rules are right where names, shapes and order suffice, and own up where they do not."""

import re

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import torch
import transformers

from official.checkpoints.proposals import Parameter, format_rules, propose
from official.checkpoints.rules import Ignore, Rule
from official.checkpoints.transfer import plan


def parameters(module):
  layers = {name: type(layer).__name__ for name, layer in module.named_modules()}
  return {
    name: Parameter(tuple(array.shape), layers[name.rpartition(".")[0]])
    for name, array in module.state_dict().items()
  }


def variables(entries):
  return {name: Parameter(shape, layer) for name, shape, layer in entries}


def planned(proposal, sources, targets):
  """The plan of a draft, which must be complete."""
  rules = [proposed.rule for proposed in proposal.rules]
  return plan(
    rules,
    {name: known.shape for name, known in sources.items()},
    {name: known.shape for name, known in targets.items()},
  )


NORM = {
  "weight": "gamma",
  "bias": "beta",
  "running_mean": "moving_mean",
  "running_var": "moving_variance",
}


def keras_resnet(sources):
  """How tf_keras.applications names a ResNet's variables, and which parameter each takes."""
  truth, entries = {}, []
  for name, known in sources.items():
    module, _, leaf = name.rpartition(".")
    if leaf == "num_batches_tracked":
      continue
    is_conv = module.endswith("convolution")
    found = re.search(r"stages\.(\d)\.layers\.(\d)\.(?:layer\.(\d)|shortcut)", module)
    place = "conv1"
    if found:
      stage, block = int(found[1]) + 2, int(found[2]) + 1
      place = f"conv{stage}_block{block}_{int(found[3]) + 1 if found[3] else 0}"
    target = f"{place}_{'conv' if is_conv else 'bn'}/{'kernel' if is_conv else NORM[leaf]}"
    shape = (
      tuple(np.transpose(np.empty(known.shape), (2, 3, 1, 0)).shape) if is_conv else known.shape
    )
    entries.append((target, shape, "Conv2D" if is_conv else "BatchNormalization"))
    truth[name] = target
  return variables(entries), truth


def test_residual_network():
  config = transformers.ResNetConfig(
    embedding_size=8, hidden_sizes=[16, 32, 64], depths=[2, 3, 2], num_channels=3
  )
  sources = parameters(transformers.ResNetModel(config))
  targets, truth = keras_resnet(sources)
  proposal = propose(sources, targets)
  made = planned(proposal, sources, targets)
  assert {move.source: move.target for move in made.moves} == truth
  assert len(made.ignored) == len(sources) - len(truth)
  assert len(proposal.rules) == 16
  assert proposal.unused == proposal.unfilled == ()


SWIN = {
  "attention.q_proj": ("attn/query", "Dense"),
  "attention.k_proj": ("attn/key", "Dense"),
  "attention.v_proj": ("attn/value", "Dense"),
  "attention.o_proj": ("attn/proj", "Dense"),
  "attention.relative_position_bias": ("attn", "WindowAttention"),
  "layernorm_before": ("norm1", "LayerNormalization"),
  "layernorm_after": ("norm2", "LayerNormalization"),
  "mlp.fc1": ("mlp/expand", "Dense"),
  "mlp.fc2": ("mlp/contract", "Dense"),
}


def short_swin(sources):
  """A Swin transformer named otherwise: stages from 1, other words."""
  entries, truth = [], {}
  for name, known in sources.items():
    module, _, leaf = name.rpartition(".")
    block = re.fullmatch(r"encoder\.layers\.(\d)\.blocks\.(\d)\.(.*)", module)
    merge = re.fullmatch(r"encoder\.layers\.(\d)\.downsample\.(.*)", module)
    if block:
      place, layer = SWIN[block[3]]
      path = f"stage{int(block[1]) + 1}/block{block[2]}/{place}"
    elif merge:
      path = f"merge{int(merge[1]) + 1}/{merge[2]}"
      layer = "Dense" if merge[2] == "reduction" else "LayerNormalization"
    else:
      is_conv = "projection" in module
      path, layer = (
        ("patch/conv", "Conv2D") if is_conv else (module.split(".")[0] + "/n", "LayerNormalization")
      )
    parts = NORM if layer == "LayerNormalization" else {"weight": "kernel", "bias": "bias"}
    target = f"{path}/{parts.get(leaf, 'relative_bias')}"
    shape = known.shape
    if target.endswith("kernel"):
      shape = shape[::-1] if len(shape) == 2 else (*shape[2:], shape[1], shape[0])
    entries.append((target, shape, layer))
    truth[name] = target
  return variables(entries), truth


def swin():
  config = transformers.SwinConfig(
    image_size=32, patch_size=2, embed_dim=8, depths=[2, 2], num_heads=[2, 4], window_size=2
  )
  sources = parameters(transformers.SwinModel(config, add_pooling_layer=False))
  return sources, *short_swin(sources)


def test_window_transformer():
  sources, targets, truth = swin()
  proposal = propose(sources, targets)
  made = planned(proposal, sources, targets)
  assert {move.source: move.target for move in made.moves} == truth
  rules = {one.rule.source: one for one in proposal.rules}
  query = rules["encoder.layers.{i}.blocks.{j}.attention.q_proj.weight"]
  assert query.rule.target == "stage{i+1}/block{j}/attn/query/kernel"
  assert query.rule.transform == "linear"
  assert "ITS SHAPE WOULD FIT BY 'identity' TOO" in query.why
  assert len(query.sources) == 4


def test_draft_is_python_that_means_the_same():
  sources, targets, _ = swin()
  proposal = propose(sources, targets)
  text = format_rules(proposal)
  namespace = {"Rule": Rule, "Ignore": Ignore}
  exec(text, namespace)
  assert namespace["WEIGHTS"] == tuple(one.rule for one in proposal.rules)
  assert text.startswith(f"# Proposed: {proposal.coverage}.")
  assert all(len(line) <= 100 for line in text.splitlines() if not line.lstrip().startswith("#"))


def test_attention_stacked_there_and_apart_here_computes_the_same():
  """A draft for torch's encoder layer against Keras's attention: its outputs prove it."""
  module = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).double()
  for array in module.parameters():
    torch.nn.init.normal_(array, 0.5, 0.5, generator=torch.Generator().manual_seed(0))
  dtype = {"dtype": "float64"}
  attention = tf_keras.layers.MultiHeadAttention(2, 4, name="self_attention", **dtype)
  dense = [
    tf_keras.layers.Dense(units, name=f"dense_{i}", **dtype) for i, units in ((1, 16), (2, 8))
  ]
  norms = [
    tf_keras.layers.LayerNormalization(epsilon=1e-5, name=f"norm_{i}", **dtype) for i in (1, 2)
  ]

  def forward(inputs):
    hidden = norms[0](inputs + attention(inputs, inputs))
    return norms[1](hidden + dense[1](tf.nn.relu(dense[0](hidden))))

  inputs = np.random.default_rng(0).normal(size=(2, 5, 8))
  forward(tf.constant(inputs))
  layers = (attention, *dense, *norms)
  found = {v.name.removesuffix(":0"): v for layer in layers for v in layer.variables}
  targets = {name: Parameter(tuple(variable.shape)) for name, variable in found.items()}
  sources = parameters(module)
  made = planned(propose(sources, targets), sources, targets)
  arrays = {name: array.numpy() for name, array in module.state_dict().items()}
  for name, array in made.forward(arrays).items():
    found[name].assign(array)
  expected = module(torch.tensor(inputs)).detach()
  np.testing.assert_allclose(forward(tf.constant(inputs)), expected, rtol=1e-9, atol=1e-9)


def test_projections_apart_there_and_stacked_here():
  sources = {
    f"b.{i}.attn.{part}_proj.{leaf}": Parameter((4, 6) if leaf == "weight" else (4,), "Linear")
    for i in range(2) for part in "qkv" for leaf in ("weight", "bias")
  }  # fmt: skip
  targets = variables(
    [(f"b{i}/attn/qkv/{leaf}", (6, 12) if leaf == "kernel" else (12,), "Dense")
     for i in range(2) for leaf in ("kernel", "bias")]
  )  # fmt: skip
  proposal = propose(sources, targets)
  made = planned(proposal, sources, targets)
  assert {(m.source, m.target, m.transform.text) for m in made.moves} == {
    (f"b.{i}.attn.{part}_proj.{leaf}", f"b{i}/attn/qkv/{to}", f"{turn}merge:{k}/3")
    for i in range(2)
    for k, part in enumerate("qkv")
    for leaf, to, turn in (("weight", "kernel", "linear|"), ("bias", "bias", ""))
  }
  assert all("taken for stacked as query, key, value" in one.why for one in proposal.rules)


def test_parts_of_a_layer_go_together():
  sources = {f"a.{leaf}": Parameter((3,)) for leaf in NORM} | {"s": Parameter((3,))}
  targets = {"t": Parameter((3,))} | {f"b/{leaf}": Parameter((3,)) for leaf in NORM.values()}
  rules = {one.rule.source: one.rule.target for one in propose(sources, targets).rules}
  assert rules == {f"a.{one}": f"b/{other}" for one, other in NORM.items()} | {"s": "t"}


def test_pieces_go_by_their_names():
  sources = {"attn.qkv.weight": Parameter((6, 5), "Linear")}
  targets = variables([(f"attn/{part}/kernel", (5, 2), "Dense") for part in ("v", "k", "q")])
  made = planned(propose(sources, targets), sources, targets)
  assert {move.target: move.transform.text for move in made.moves} == {
    f"attn/{part}/kernel": f"qkv:{index}/3|linear" for index, part in enumerate("qkv")
  }


def test_keys_and_values_alone_may_be_stacked():
  sources = {"attn.kv.weight": Parameter((6, 4), "Linear")}
  targets = variables([("attn/k/kernel", (4, 3), "Dense"), ("attn/v/kernel", (4, 3), "Dense")])
  made = planned(propose(sources, targets), sources, targets)
  assert {(move.target, move.transform.text) for move in made.moves} == {
    ("attn/k/kernel", "qkv:0/2|linear"),
    ("attn/v/kernel", "qkv:1/2|linear"),
  }


def test_what_is_no_whole_number_of_pieces_is_not_stacked():
  for shape in ((7, 4), ()):
    proposal = propose({"attn.qkv.weight": Parameter(shape)}, {"x/kernel": Parameter(shape[::-1])})
    assert [one.rule.target for one in proposal.rules] == ["x/kernel"]


def test_stacked_on_both_sides_stays_stacked():
  sources = {"attn.qkv.weight": Parameter((12, 4), "Linear")}
  proposal = propose(sources, variables([("attn/qkv/kernel", (4, 12), "Dense")]))
  assert [one.rule for one in proposal.rules] == [
    Rule("attn.qkv.weight", "attn/qkv/kernel", "linear")
  ]


@pytest.mark.parametrize(
  ("shape", "layer", "target", "to_layer", "transform"),
  [
    ((4, 4), "Linear", "x/kernel", "Dense", "linear"),
    ((4, 4), "Embedding", "x/embeddings", "Embedding", "identity"),
    ((4, 4), "", "x/table", "", "identity"),
    ((4, 4), "", "x/kernel", "", "linear"),
    ((4, 3, 3, 3), "Conv2d", "x/kernel", "Conv2D", "conv"),
    ((4, 1, 3, 3), "Conv2d", "x/depthwise_kernel", "DepthwiseConv2D", "depthwise"),
    ((4, 3, 3, 3), "ConvTranspose2d", "x/kernel", "Conv2DTranspose", "conv_transpose"),
    ((4, 3), "Linear", "x/kernel", "Conv2D", "linear_as_conv"),
    ((4, 3, 1, 1), "Conv2d", "x/kernel", "Dense", "conv_as_linear"),
    ((1, 5, 3), "", "x/position", "", "1 a b -> a b"),
  ],
)  # fmt: skip
def test_transforms_follow_what_the_layer_does(shape, layer, target, to_layer, transform):
  shapes = {
    "linear": shape[::-1],
    "conv": (*shape[2:], *shape[1::-1]),
    "conv_transpose": (*shape[2:], *shape[1::-1]),
    "depthwise": (*shape[2:], *shape[:2]),
    "linear_as_conv": (1, 1, *shape[::-1]),
    "conv_as_linear": shape[1::-1],
    "1 a b -> a b": shape[1:],
  }
  targets = variables([(target, shapes.get(transform, shape), to_layer)])
  (proposed,) = propose({"x.weight": Parameter(shape, layer)}, targets).rules
  assert proposed.rule == Rule("x.weight", target, transform)
  assert proposed.confidence == 1
  assert proposed.why.startswith("nothing else has its shape")


def test_dense_layer_after_flattening():
  """VGG's first dense layer reads 7 × 7 pixels: the same shape as a plain transposition."""
  sources = {
    "features.0.weight": Parameter((8, 3, 3, 3), "Conv2d"),
    "features.0.bias": Parameter((8,), "Conv2d"),
    "classifier.0.weight": Parameter((10, 8 * 49), "Linear"),
    "classifier.0.bias": Parameter((10,), "Linear"),
    "classifier.3.weight": Parameter((2, 10), "Linear"),
  }
  targets = variables(
    [
      ("conv/kernel", (3, 3, 3, 8), "Conv2D"),
      ("conv/bias", (8,), "Conv2D"),
      ("fc1/kernel", (8 * 49, 10), "Dense"),
      ("fc1/bias", (10,), "Dense"),
      ("fc2/kernel", (10, 2), "Dense"),
    ]
  )
  found = {one.rule.source: one for one in propose(sources, targets).rules}
  assert found["classifier.0.weight"].rule.transform == "linear_after_flatten:7,7"
  assert "ITS SHAPE WOULD FIT BY 'linear' TOO" in found["classifier.0.weight"].why
  assert found["classifier.3.weight"].rule.transform == "linear"


def test_a_toss_up_is_called_one():
  targets = {name: Parameter((3,)) for name in "bcdefghijklm"}
  proposal = propose({"a": Parameter((3,))}, targets)
  (proposed,) = proposal.rules
  assert proposed.confidence < 0.6
  assert proposed.why.endswith("; ANOTHER PLACE IS AS LIKELY")
  assert len(proposal.unfilled) == 11


def test_confidence_grows_with_the_evidence():
  sources = {"left": Parameter((3,)), "right": Parameter((3,))}
  by_order = propose(sources, {"up": Parameter((3,)), "down": Parameter((3,))})
  by_name = propose(sources, {"left": Parameter((3,)), "right": Parameter((3,))})
  by_shape = propose({"left": Parameter((3,))}, {"up": Parameter((3,))})
  confidences = [proposal.rules[0].confidence for proposal in (by_order, by_name, by_shape)]
  assert 0.5 < confidences[0] < confidences[1] < confidences[2] == 1
  whys = [proposal.rules[0].why for proposal in (by_order, by_name, by_shape)]
  assert whys == ["by order and what is around it", "names agree", "nothing else has its shape"]


def test_names_outweigh_order():
  sources = {f"{word}.weight": Parameter((3, 4), "Linear") for word in ("query", "key", "value")}
  targets = variables([(f"{word}/kernel", (4, 3), "Dense") for word in ("v", "k", "q")])
  rules = {one.rule.source: one.rule.target for one in propose(sources, targets).rules}
  assert rules == {"query.weight": "q/kernel", "key.weight": "k/kernel", "value.weight": "v/kernel"}


def test_order_decides_among_names_that_say_nothing():
  sources = {f"features.{i}.weight": Parameter((4, 4, 3, 3), "Conv2d") for i in (0, 2, 5, 7, 10)}
  targets = variables([(f"{word}/kernel", (3, 3, 4, 4), "Conv2D") for word in "abcde"])
  rules = [one.rule.target for one in propose(sources, targets).rules]
  assert rules == [f"{word}/kernel" for word in "abcde"]


def test_what_finds_no_place_is_listed():
  sources = {"a.weight": Parameter((3, 4)), "lost.weight": Parameter((9, 9, 9))}
  targets = {"a/kernel": Parameter((4, 3)), "stray/kernel": Parameter((5,))}
  proposal = propose(sources, targets)
  assert proposal.unused == ("lost.weight",)
  assert proposal.unfilled == ("stray/kernel",)
  assert proposal.coverage == "1 of 2 parameters and 1 of 2 variables, by 1 rules"
  text = format_rules(proposal)
  assert "# No rule: parameter lost.weight\n# No rule: variable stray/kernel\n" in text


def test_bookkeeping_is_ignored_with_a_reason():
  sources = {"bn.weight": Parameter((3,)), "bn.num_batches_tracked": Parameter(())}
  proposal = propose(sources, {"bn/gamma": Parameter((3,))})
  ignored = [one.rule for one in proposal.rules if isinstance(one.rule, Ignore)]
  assert [rule.pattern for rule in ignored] == ["{path*}.num_batches_tracked"]
  assert proposal.unused == ()
  alone = propose({"position_ids": Parameter((1, 4))}, {})
  assert [one.rule.pattern for one in alone.rules] == ["position_ids"]


def test_nothing_to_propose():
  assert propose({}, {}).rules == ()
  assert propose({"a": Parameter((1,))}, {}).unused == ("a",)
