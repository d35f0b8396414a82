"""Layer and group normalization, and dropout: against PyTorch, and against what they promise."""

import types

import numpy as np
import pytest
import tensorflow as tf
import torch

from projects.maskformer.modeling.dropout import drawn_from, drop_path, dropout
from projects.maskformer.modeling.normalization import GroupNorm, LayerNorm

RNG = np.random.default_rng(3)
GAMMA, BETA = RNG.normal(1, 0.3, 8), RNG.normal(size=8)


def _layer_norm(x, gamma, beta):
  return torch.nn.functional.layer_norm(x, [8], gamma, beta, 1e-5)


def _group_norm(x, gamma, beta):
  x = torch.nn.functional.group_norm(x.permute(0, 3, 1, 2), 4, gamma, beta, 1e-5)
  return x.permute(0, 2, 3, 1)


PAIRS = [(LayerNorm, {}, _layer_norm), (GroupNorm, {"groups": 4}, _group_norm)]


@pytest.mark.parametrize(("layer", "arguments", "original"), PAIRS)
@pytest.mark.parametrize("how", ["eager", "graph", "xla"])
def test_normalizations_and_their_gradients_are_pytorchs(layer, arguments, original, how):
  x, weights = RNG.normal(5, 2, [2, 3, 5, 8]), RNG.normal(size=[2, 3, 5, 8])
  layer = layer(**arguments, dtype="float64")
  layer.build([None, 3, 5, 8])
  layer.set_weights([GAMMA, BETA])

  def forward_and_backward(x):
    with tf.GradientTape() as tape:
      tape.watch(x)
      outputs = layer(x)
      loss = tf.reduce_sum(outputs * weights)
    return outputs, *tape.gradient(loss, [x, layer.gamma, layer.beta])

  if how != "eager":
    forward_and_backward = tf.function(forward_and_backward, jit_compile=how == "xla")
  ours = forward_and_backward(tf.constant(x))
  theirs = [torch.tensor(each, requires_grad=True) for each in (x, GAMMA, BETA)]
  outputs = original(*theirs)
  (outputs * torch.tensor(weights)).sum().backward()
  for got, want in zip(ours, [outputs.detach(), *(each.grad for each in theirs)], strict=True):
    np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("layer", "arguments", "original"), PAIRS)
def test_float32_is_as_good_as_pytorchs_far_from_zero(layer, arguments, original):
  x = RNG.normal(300, 1, [2, 16, 16, 8])
  layer = layer(**arguments)
  layer.build([None, 16, 16, 8])
  layer.set_weights([GAMMA, BETA])
  gamma, beta = torch.tensor(GAMMA), torch.tensor(BETA)
  golden = original(torch.tensor(x), gamma, beta).numpy()
  theirs = original(*(torch.tensor(each, dtype=torch.float32) for each in (x, GAMMA, BETA))).numpy()
  ours = layer(tf.constant(x, tf.float32))
  assert np.abs(ours - golden).max() < 4 * np.abs(theirs - golden).max()


@pytest.mark.parametrize(("layer", "arguments", "original"), PAIRS)
def test_a_batch_of_any_size_is_normalized_image_by_image(layer, arguments, original):
  del original
  x = tf.constant(RNG.normal(size=[3, 4, 4, 8]))
  layer = layer(**arguments, dtype="float64")
  unknown = tf.function(layer, input_signature=[tf.TensorSpec([None, 4, 4, 8], tf.float64)])
  np.testing.assert_allclose(unknown(x)[1], layer(x[1:2])[0], rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_dropout_drops_its_share_and_keeps_the_mean(dtype):
  x = tf.ones([200_000], dtype)
  dropped = tf.cast(dropout(x, 0.1, True), tf.float64)
  assert abs(float(tf.reduce_mean(tf.cast(dropped == 0, tf.float64))) - 0.1) < 0.003
  assert set(np.round(np.unique(dropped), 1)) == {0, 1.1}
  assert dropout(x, 0.1, False) is x
  assert dropout(x, 0.0, True) is x


def test_stochastic_depth_drops_whole_images():
  x = tf.constant(RNG.normal(size=[400, 2, 3, 4]))
  dropped = drop_path(x, 0.3, True)
  gone = np.all(dropped == 0, axis=(1, 2, 3))
  assert 0.2 < gone.mean() < 0.4
  np.testing.assert_allclose(dropped[~gone], x[~gone] / 0.7)


def _drawn(seed, step):
  """What two dropouts keep in a step."""
  with drawn_from(seed, tf.constant(step)):
    return [tuple(dropout(tf.ones([64]), 0.5, True).numpy() > 0) for _ in range(2)]


def test_what_a_step_draws_follows_from_seed_step_replica_and_place(monkeypatch):
  first = _drawn(1, 7)
  assert _drawn(1, 7) == first
  other = types.SimpleNamespace(replica_id_in_sync_group=1)
  draws = [*first, *_drawn(2, 7), *_drawn(1, 8)]
  monkeypatch.setattr(tf.distribute, "get_replica_context", lambda: other)
  assert len({*draws, *_drawn(1, 7)}) == 8
  # Outside of steps it is TensorFlow that draws.
  tf.random.set_seed(0)
  free = dropout(tf.ones([64]), 0.5, True)
  tf.random.set_seed(0)
  np.testing.assert_array_equal(dropout(tf.ones([64]), 0.5, True), free)
