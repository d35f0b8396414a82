"""Weights that do not arrive: transfer itself must refuse, before anything is compared."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf
import tf_keras

from benchmarks.parity.cases.all import BLOCKS
from benchmarks.parity.cases.transformer import SIZES
from benchmarks.parity.defects.planting import Plant, at, weight_rules
from official.checkpoints.rules import Ignore, Rule
from official.parity.case import ParityCase
from projects.maskformer.modeling.attention import Attention
from projects.maskformer.modeling.projection import Dense
from projects.maskformer.modeling.transformer import EncoderLayer


class UnbiasedAttention(Attention):
  """Queries, keys and values without biases."""

  def __init__(self, width: int, heads: int) -> None:
    super().__init__(width, heads)
    self.query, self.key, self.value = (
      Dense(width, use_bias=False, name=name) for name in ("query", "key", "value")
    )


class LongerEncoderLayer(EncoderLayer):
  """One more LayerNorm, which nobody trained."""

  def __init__(self, width: int, heads: int, hidden: int) -> None:
    super().__init__(width, heads, hidden)
    self.last_norm = tf_keras.layers.LayerNormalization(epsilon=1e-5, name="last_norm")

  def call(
    self,
    inputs: tf.Tensor,
    positions: tf.Tensor | None = None,
    valid: tf.Tensor | None = None,
    training: bool = False,
  ) -> tf.Tensor:
    return self.last_norm(super().call(inputs, positions, valid))


def _built(layer: Callable[[], tf_keras.layers.Layer]) -> Callable[[str], Plant]:
  """Ours, made by another constructor."""

  def plant(case: ParityCase) -> ParityCase:
    block = BLOCKS[case.name.removeprefix("blocks/")]
    return dataclasses.replace(block, layer=layer).case()

  return lambda name: plant


def _not_loaded(source: str) -> Callable[[str], Plant]:
  """A parameter that is left out, so that the variable keeps what it was initialized to."""

  def change(rules: dict[str, Rule | Ignore]) -> dict[str, Rule | Ignore]:
    return rules | {source: Ignore(source, "biases start at zero anyway")}

  return lambda name: weight_rules(change)


def _loaded_into(source: str, target: str) -> Callable[[str], Plant]:
  """A parameter that goes where another goes already."""

  def change(rules: dict[str, Rule | Ignore]) -> dict[str, Rule | Ignore]:
    return rules | {source: Rule(source, target, rules[source].transform)}

  return lambda name: weight_rules(change)


DEFECTS = (
  *at(
    "bias not loaded",
    "bias_missing",
    _not_loaded("1.0.bias"),
    ("mlp_head", "fc1/bias"),
    stage="structure",
  ),
  *at(
    "bias not loaded",
    "bias_missing",
    _not_loaded("class_predictor.bias"),
    ("maskformer", "heads/classes/bias"),
    stage="structure",
  ),
  *at(
    "attention built without biases",
    "bias_missing",
    _built(lambda: UnbiasedAttention(SIZES.width, SIZES.heads)),
    ("attention", "key/bias"),
    stage="structure",
  ),
  *at(
    "a trained LayerNorm too many",
    "normalization_extra",
    _built(lambda: LongerEncoderLayer(SIZES.width, SIZES.heads, SIZES.hidden)),
    ("encoder_layer", "last_norm/gamma"),
    stage="structure",
  ),
  *at(
    "two weights for one variable",
    "weights_swapped",
    _loaded_into("mlp.fc2.bias", "attention/output/bias"),
    ("encoder_layer", "attention/output/bias"),
    stage="structure",
  ),
)
