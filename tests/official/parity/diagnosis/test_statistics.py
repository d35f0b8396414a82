"""Moving statistics; PyTorch is the original."""

import numpy as np
import tensorflow as tf
import torch

from official.parity.diagnosis import engine
from official.parity.diagnosis.evidence import StatisticsEvidence
from tests.official.parity.diagnosis.planting import LAYERS, normal

X = normal(4, 3, 3, 5) + 0.5
OLD = {"mean": normal(5, seed=3), "variance": np.abs(normal(5, seed=4)) + 0.5}


def torch_update(momentum=0.1):
  layer = torch.nn.BatchNorm2d(5, momentum=momentum, dtype=torch.float64)
  layer.running_mean.copy_(torch.from_numpy(OLD["mean"]))
  layer.running_var.copy_(torch.from_numpy(OLD["variance"]))
  layer(torch.from_numpy(X.transpose(0, 3, 1, 2).copy()))
  return {"mean": layer.running_mean.numpy(), "variance": layer.running_var.numpy()}


def update(share=0.1, unbiased=True, times=1):
  estimates = {"mean": X.mean((0, 1, 2)), "variance": X.var((0, 1, 2), ddof=int(unbiased))}
  new = dict(OLD)
  for _ in range(times):
    new = {key: new[key] + share * (estimates[key] - new[key]) for key in new}
  return new


def causes(candidate, **original):
  evidence = StatisticsEvidence("norm", X, OLD, torch_update(**original), candidate)
  return [d.cause for d in engine.diagnose_statistics(evidence) if d.closes]


def test_share():
  assert causes(update(0.01)) == ["normalization_momentum"]


def test_convention():
  evidence = StatisticsEvidence("norm", X, OLD, torch_update(), update(0.9))
  best = engine.diagnose_statistics(evidence)[0]
  assert best.cause == "normalization_momentum"
  assert "one minus it" in best.sentence


def test_updated_twice():
  assert causes(update(times=2)) == ["normalization_momentum"]


def test_biased_variance():
  assert causes(update(unbiased=False)) == ["variance_bias"]


def test_biased_variance_of_keras_in_float64():
  layer = LAYERS.BatchNormalization(momentum=0.9, dtype="float64")
  layer.build(X.shape)
  layer.moving_mean.assign(OLD["mean"])
  layer.moving_variance.assign(OLD["variance"])
  layer(tf.constant(X), training=True)
  new = {"mean": layer.moving_mean.numpy(), "variance": layer.moving_variance.numpy()}
  assert causes(new) == ["variance_bias"]


def test_statistics_that_do_not_move():
  assert causes(OLD) == ["train_eval_mode"]


def test_agreement_and_what_nobody_knows():
  assert causes(torch_update()) == []
  assert causes({key: array + normal(5, seed=9) for key, array in OLD.items()}) == []
