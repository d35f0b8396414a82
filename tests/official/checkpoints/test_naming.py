"""Names are read alike whatever the framework that wrote them."""

import pytest

from official.checkpoints.naming import last_word, read, words


@pytest.mark.parametrize(
  ("one", "other"),
  [
    ("layer1.0.bn1", "layer1/0/batch_normalization_1"),
    ("self_attn.q_proj", "self_attention/query/projection"),
    ("encoder.layers.3.self_attn_layer_norm", "encoder/layer_3/self_attention_norm"),
    ("stages.2.downsample", "stage_2/shortcut"),
    ("block_1_conv_3x3", "block1.conv2d"),
    ("fc1", "dense_1"),
    ("EncoderLayer2", "encoder.layer.2"),
    ("attn.in_proj", "attention/qkv"),
    ("embeddings", "embedding"),
  ],
)
def test_words_that_mean_the_same(one, other):
  assert words(one) == words(other)


def test_words_that_do_not():
  assert words("query") != words("key")
  assert words("conv1") != words("conv2")
  assert words("norm1") == ("norm", "1")
  assert words("LayerNorm2") == ("norm", "2")


@pytest.mark.parametrize(
  ("name", "role", "module"),
  [
    ("layers.0.conv.weight", "weight", "layers.0.conv"),
    ("layers/0/conv/kernel", "weight", "layers/0/conv"),
    ("norm/gamma", "weight", "norm"),
    ("norm/beta", "bias", "norm"),
    ("bn.running_var", "variance", "bn"),
    ("bn/moving_mean", "mean", "bn"),
    ("dw/depthwise_kernel", "weight", "dw"),
    ("attn.in_proj_weight", "weight", "attn.in_proj"),
    ("attn.in_proj_bias", "bias", "attn.in_proj"),
    ("weight", "weight", ""),
    ("cls_token", "weight", "cls_token"),
    ("layer.position_table", "weight", "layer.position_table"),
  ],
)
def test_roles(name, role, module):
  assert (read(name).role, read(name).module) == (role, module)
  assert read(name).words == words(module)


def test_last_words():
  assert last_word("a.b/c.d") == "d"
  assert last_word("a") == "a"
