"""PyTorch's layers and TensorFlow's agree with transferred weights, outputs as gradients."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import torch

from official.checkpoints.rules import Ignore, Rule
from official.checkpoints.transfer import plan

BIAS = Rule("bias", "bias")
CHANNELS_FIRST = {3: (0, 2, 1), 4: (0, 3, 1, 2), 5: (0, 4, 1, 2, 3)}
LAST = {3: (0, 2, 1), 4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}


def keras(layer, **kwargs):
  return getattr(tf_keras.layers, layer)(dtype="float64", **kwargs)


class Flattened(torch.nn.Linear):
  """A dense layer on [b, c, h, w], flattened as PyTorch does."""

  def forward(self, inputs):
    return super().forward(inputs.flatten(1))


class FlattenedHere(tf_keras.layers.Layer):
  """The same on [b, h, w, c], flattened as TensorFlow does."""

  def __init__(self):
    super().__init__(dtype="float64")
    self.dense = keras("Dense", units=5)

  def call(self, inputs):
    return self.dense(tf.reshape(inputs, [inputs.shape[0], -1]))


class ReversedConv(tf_keras.layers.Conv2D):
  """A convolution of BGR images, given RGB."""

  def call(self, inputs):
    return super().call(inputs[..., ::-1])


# name → (PyTorch's layer, Keras's layer, inputs [b, ..., c], rules)
LAYERS = {
  "linear": (
    lambda: torch.nn.Linear(5, 5),
    lambda: keras("Dense", units=5),
    (4, 5),
    [Rule("weight", "kernel", "linear"), BIAS],
  ),
  "conv": (
    lambda: torch.nn.Conv2d(3, 4, (3, 2)),
    lambda: keras("Conv2D", filters=4, kernel_size=(3, 2)),
    (2, 6, 5, 3),
    [Rule("weight", "kernel", "conv"), BIAS],
  ),
  "conv1d": (
    lambda: torch.nn.Conv1d(3, 4, 3),
    lambda: keras("Conv1D", filters=4, kernel_size=3),
    (2, 6, 3),
    [Rule("weight", "kernel", "conv"), BIAS],
  ),
  "conv3d": (
    lambda: torch.nn.Conv3d(3, 4, (1, 2, 3)),
    lambda: keras("Conv3D", filters=4, kernel_size=(1, 2, 3)),
    (2, 3, 4, 5, 3),
    [Rule("weight", "kernel", "conv"), BIAS],
  ),
  "grouped conv": (
    lambda: torch.nn.Conv2d(6, 4, 3, groups=2),
    lambda: keras("Conv2D", filters=4, kernel_size=3, groups=2),
    (2, 6, 5, 6),
    [Rule("weight", "kernel", "conv"), BIAS],
  ),
  "depthwise conv": (
    lambda: torch.nn.Conv2d(3, 3, 3, groups=3),
    lambda: keras("DepthwiseConv2D", kernel_size=3),
    (2, 6, 5, 3),
    [Rule("weight", "depthwise_kernel", "depthwise"), BIAS],
  ),
  "depthwise conv, two outputs a channel": (
    lambda: torch.nn.Conv2d(3, 6, 3, groups=3),
    lambda: keras("DepthwiseConv2D", kernel_size=3, depth_multiplier=2),
    (2, 6, 5, 3),
    [Rule("weight", "depthwise_kernel", "depthwise:2"), BIAS],
  ),
  "transposed conv": (
    lambda: torch.nn.ConvTranspose2d(3, 4, 3, stride=2),
    lambda: keras("Conv2DTranspose", filters=4, kernel_size=3, strides=2),
    (2, 4, 5, 3),
    [Rule("weight", "kernel", "conv_transpose"), BIAS],
  ),
  "linear as conv": (
    lambda: torch.nn.Linear(3, 3),
    lambda: keras("Conv2D", filters=3, kernel_size=1),
    (2, 4, 5, 3),
    [Rule("weight", "kernel", "linear_as_conv"), BIAS],
  ),
  "conv as linear": (
    lambda: torch.nn.Conv2d(3, 3, 1),
    lambda: keras("Dense", units=3),
    (2, 4, 5, 3),
    [Rule("weight", "kernel", "conv_as_linear"), BIAS],
  ),
  "linear after flatten": (
    lambda: Flattened(2 * 3 * 4, 5),
    lambda: FlattenedHere(),
    (2, 2, 3, 4),
    [Rule("weight", "kernel", "linear_after_flatten:2,3"), BIAS],
  ),
  "layer norm": (
    lambda: torch.nn.LayerNorm(5, eps=1e-3),
    lambda: keras("LayerNormalization"),
    (4, 5),
    [Rule("weight", "gamma"), Rule("bias", "beta")],
  ),
  "batch norm": (
    lambda: torch.nn.BatchNorm2d(4, eps=1e-3).eval(),
    lambda: keras("BatchNormalization"),
    (2, 3, 3, 4),
    [
      Rule("weight", "gamma"),
      Rule("bias", "beta"),
      Rule("running_mean", "moving_mean"),
      Rule("running_var", "moving_variance"),
      Ignore("num_batches_tracked", "momentum does not use it"),
    ],
  ),
  "channels reversed": (
    lambda: torch.nn.Conv2d(3, 4, 3),
    lambda: ReversedConv(4, 3, dtype="float64"),
    (2, 6, 5, 3),
    [Rule("weight", "kernel", "conv|order:2,1,0@2"), BIAS],
  ),
}


def fill(module, rng):
  """Gives `module` float64 parameters and buffers that no two layers share; returns all."""
  module.double()
  for array in [*module.parameters(), *module.buffers()]:
    if array.dtype == torch.float64:
      array.data = torch.tensor(rng.uniform(0.5, 1.5, array.shape) * rng.choice([-1, 1]))
  for name, array in module.named_buffers():
    if name.endswith("running_var"):
      array.abs_()
  return {name: array.detach().numpy().copy() for name, array in module.state_dict().items()}


def transferred(module, layer, rules, name_of):
  """Fills `layer`, and returns the plan."""
  state = fill(module, np.random.default_rng(0))
  variables = {name_of(variable): variable for variable in layer.variables}
  found = plan(
    rules,
    {name: array.shape for name, array in state.items()},
    {name: variable.shape for name, variable in variables.items()},
  )
  for name, array in found.forward(state).items():
    variables[name].assign(array)
  back = found.backward({name: variable.numpy() for name, variable in variables.items()})
  for name, array in back.items():
    assert array.tobytes() == state[name].tobytes(), name
  return found


def check(module, layer, found, name_of, reference, candidate):
  """Outputs agree, and the plan carries one side's gradients into the other's.

  `reference` and `candidate` give the outputs of `module` and `layer`, in the layout of `layer`.
  """
  expected = reference()
  cotangent = np.random.default_rng(1).normal(size=expected.shape)
  (expected * torch.tensor(cotangent)).sum().backward()
  with tf.GradientTape() as tape:
    output = candidate()
    total = tf.reduce_sum(output * cotangent)
  np.testing.assert_allclose(output, expected.detach(), rtol=1e-9, atol=1e-9)
  ours = tape.gradient(total, layer.trainable_variables)
  gradients = {name: value.grad.numpy() for name, value in module.named_parameters()}
  theirs = found.forward(gradients, partial=True)
  assert len(theirs) == len(ours) > 0
  for variable, gradient in zip(layer.trainable_variables, ours, strict=True):
    np.testing.assert_allclose(gradient, theirs[name_of(variable)], rtol=1e-9, atol=1e-9)
  names = map(name_of, layer.trainable_variables)
  back = found.backward(dict(zip(names, map(np.array, ours), strict=True)), partial=True)
  for name, gradient in gradients.items():
    np.testing.assert_allclose(back[name], gradient, rtol=1e-9, atol=1e-9)


def last_name(variable):
  return variable.name.split("/")[-1].removesuffix(":0")


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
  make_module, make_layer, shape, rules = LAYERS[name]
  module, layer = make_module(), make_layer()
  inputs = np.random.default_rng(2).normal(size=shape)
  layer(tf.constant(inputs))
  found = transferred(module, layer, rules, last_name)
  first = np.transpose(inputs, CHANNELS_FIRST[len(shape)]) if _is_spatial(module) else inputs

  def reference():
    output = module(torch.tensor(first))
    spatial = _is_spatial(module) and output.ndim == len(shape)
    return output.permute(*LAST[len(shape)]) if spatial else output

  check(module, layer, found, last_name, reference, lambda: layer(tf.constant(inputs)))


def _is_spatial(module):
  return not isinstance(module, torch.nn.LayerNorm) and type(module) is not torch.nn.Linear


def test_attention_fused_there_and_with_heads_apart_here():
  module = torch.nn.MultiheadAttention(6, 2, batch_first=True)
  layer = keras("MultiHeadAttention", num_heads=2, key_dim=3)
  rng = np.random.default_rng(3)
  query, value = rng.normal(size=(2, 4, 6)), rng.normal(size=(2, 5, 6))
  layer(tf.constant(query), tf.constant(value))
  rules = [Rule("out_proj.weight", "attention_output/kernel", "linear|heads_in:2")]
  rules += [Rule("out_proj.bias", "attention_output/bias")]
  for index, part in enumerate(("query", "key", "value")):
    piece = f"qkv:{index}/3"
    rules.append(Rule("in_proj_weight", f"{part}/kernel", f"{piece}|linear|heads_out:2"))
    rules.append(Rule("in_proj_bias", f"{part}/bias", f"{piece}|heads_out:2"))

  def name_of(variable):
    return "/".join(variable.name.split("/")[-2:]).removesuffix(":0")

  found = transferred(module, layer, rules, name_of)
  check(
    module,
    layer,
    found,
    name_of,
    lambda: module(torch.tensor(query), torch.tensor(value), torch.tensor(value))[0],
    lambda: layer(tf.constant(query), tf.constant(value)),
  )


class Separate(torch.nn.Module):
  """Three projections side by side."""

  def __init__(self):
    super().__init__()
    self.q, self.k, self.v = (torch.nn.Linear(4, 3) for _ in range(3))

  def forward(self, inputs):
    return torch.cat([self.q(inputs), self.k(inputs), self.v(inputs)], -1)


def test_projections_apart_there_and_fused_here():
  module, layer = Separate(), keras("Dense", units=9)
  inputs = np.random.default_rng(4).normal(size=(5, 4))
  layer(tf.constant(inputs))
  rules = []
  for index, part in enumerate("qkv"):
    rules.append(Rule(f"{part}.weight", "kernel", f"linear|merge:{index}/3"))
    rules.append(Rule(f"{part}.bias", "bias", f"merge:{index}/3"))
  found = transferred(module, layer, rules, last_name)
  check(
    module,
    layer,
    found,
    last_name,
    lambda: module(torch.tensor(inputs)),
    lambda: layer(tf.constant(inputs)),
  )


def test_embedding():
  module = torch.nn.Embedding(5, 5)
  layer = keras("Embedding", input_dim=5, output_dim=5)
  tokens = np.array([[0, 3], [4, 1]])
  layer(tf.constant(tokens))
  rules = [Rule("weight", "embeddings", "identity")]
  found = transferred(module, layer, rules, last_name)
  np.testing.assert_array_equal(layer(tokens), module(torch.tensor(tokens)).detach())
  assert found.rows() == [("weight", "embeddings", "identity", "5 × 5")]


def test_relative_position_bias():
  """Swin's table of (2w − 1)² rows of heads, against one with both offsets as axes."""
  window, heads = 3, 2
  offsets = 2 * window - 1
  table = np.random.default_rng(5).normal(size=(offsets**2, heads))
  rules = [Rule("table", "table", f"relative_table:{offsets}")]
  made = plan(rules, {"table": table.shape}, {"table": (offsets, offsets, heads)})
  ours = made.forward({"table": table})["table"]
  y, x = np.divmod(np.arange(window**2), window)
  dy, dx = (axis[:, None] - axis[None] + window - 1 for axis in (y, x))
  np.testing.assert_array_equal(ours[dy, dx], table[dy * offsets + dx])
