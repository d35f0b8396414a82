"""Losses and their gradients; PyTorch is the original."""

import numpy as np
import pytest
import tensorflow as tf
import torch
from torch.nn import functional as F

from official.parity.diagnosis import engine
from official.parity.diagnosis.evidence import LossEvidence
from tests.official.parity.diagnosis.planting import normal

RNG = np.random.default_rng(0)
LOGITS = normal(3, 10, 5)
MASKS = normal(3, 4, 6, 6, seed=2)
BOXES = normal(3, 4, 4, seed=3)
BATCH = {
  "classes": RNG.integers(0, 5, (3, 10)),
  "valid": np.arange(4)[None] < np.array([[4], [2], [1]]),
  "masks": RNG.integers(0, 2, (3, 4, 6, 6)).astype(np.float64),
  "boxes": normal(3, 4, 4, seed=4),
}


def tensors(arrays):
  return {name: tf.constant(array) for name, array in arrays.items()}


def evidence(candidate, original, outputs, with_gradients=True):
  """`candidate` and `original`: (tensor, batch) → scalar or scalars by term."""
  x = torch.from_numpy(outputs).requires_grad_()
  terms = original(x, {name: torch.from_numpy(a) for name, a in BATCH.items()})
  terms = terms if isinstance(terms, dict) else {"loss": terms}
  gradients = {
    f"{name}|0": torch.autograd.grad(term, x, retain_graph=True)[0].numpy()
    for name, term in terms.items()
    if with_gradients
  }

  def function(x, batch):
    made = candidate(x, batch)
    return made if isinstance(made, dict) else {"loss": made}

  values = {name: term.detach().numpy() for name, term in terms.items()}
  return LossEvidence(function, tf.constant(outputs), tensors(BATCH), values, gradients)


def cause(candidate, original, outputs, **options):
  found = engine.diagnose_loss(evidence(candidate, original, outputs, **options))
  assert found, "no diagnosis"
  assert found[0].closes, found
  return found[0].cause


def entropy(x, batch):
  return tf.nn.sparse_softmax_cross_entropy_with_logits(batch["classes"], x)


def torch_entropy(x, batch, **kwargs):
  return F.cross_entropy(x.transpose(1, 2), batch["classes"], **kwargs)


def dice(x, batch, smooth=1.0, squares=False):
  x, y = tf.sigmoid(tf.reshape(x, [3, 4, 36])), tf.reshape(batch["masks"], [3, 4, 36])
  above = 2 * tf.reduce_sum(x * y, -1) + smooth
  below = tf.reduce_sum(x * x if squares else x, -1) + tf.reduce_sum(y, -1) + smooth
  return tf.reduce_mean(1 - above / below)


def torch_dice(x, batch, smooth=1.0, squares=False):
  x, y = x.sigmoid().reshape(3, 4, 36), batch["masks"].reshape(3, 4, 36)
  above = 2 * (x * y).sum(-1) + smooth
  below = (x * x if squares else x).sum(-1) + y.sum(-1) + smooth
  return (1 - above / below).mean()


def focal(x, batch, alpha=0.25, gamma=2.0):
  y, p = batch["masks"], tf.sigmoid(x)
  loss = tf.nn.sigmoid_cross_entropy_with_logits(y, x)
  loss *= (1 - (p * y + (1 - p) * (1 - y))) ** gamma
  return tf.reduce_mean((alpha * y + (1 - alpha) * (1 - y)) * loss)


def torch_focal(x, batch):
  y, p = batch["masks"], x.sigmoid()
  loss = F.binary_cross_entropy_with_logits(x, y, reduction="none")
  loss = loss * (1 - (p * y + (1 - p) * (1 - y))) ** 2
  return ((0.25 * y + 0.75 * (1 - y)) * loss).mean()


@pytest.mark.parametrize("with_gradients", [True, False])
@pytest.mark.parametrize(
  ("candidate", "original"),
  [
    (lambda x, b: tf.reduce_sum(entropy(x, b)), torch_entropy),
    (lambda x, b: tf.reduce_mean(entropy(x, b)), lambda x, b: torch_entropy(x, b, reduction="sum")),
    (lambda x, b: tf.reduce_sum(entropy(x, b)) / 3, torch_entropy),
    (lambda x, b: 5 * tf.reduce_sum(entropy(x, b)) / 10, lambda x, b: 5 * torch_entropy(x, b)),
  ],
  ids=["sum", "mean", "by images", "by queries"],
)
def test_reduction(candidate, original, with_gradients):
  assert cause(candidate, original, LOGITS, with_gradients=with_gradients) == "loss_reduction"


def test_number_of_boxes():
  def candidate(x, batch):
    errors = tf.reduce_sum(tf.abs(x - batch["boxes"]), -1)
    return tf.reduce_mean(tf.where(batch["valid"], errors, 0.0))

  def original(x, batch):
    errors = (x - batch["boxes"]).abs().sum(-1)
    return (errors * batch["valid"]).sum() / batch["valid"].sum()

  assert cause(candidate, original, BOXES) == "loss_reduction"


def test_mean_of_images_means():
  def candidate(x, batch):
    errors, valid = tf.reduce_sum(tf.abs(x - batch["boxes"]), -1), tf.cast(batch["valid"], x.dtype)
    return tf.reduce_mean(tf.reduce_sum(errors * valid, 1) / tf.reduce_sum(valid, 1))

  def original(x, batch):
    errors = (x - batch["boxes"]).abs().sum(-1)
    return (errors * batch["valid"]).sum() / batch["valid"].sum()

  assert cause(candidate, original, BOXES) == "loss_reduction"


@pytest.mark.parametrize("with_gradients", [True, False])
@pytest.mark.parametrize(("ours", "theirs"), [(5.0, 2.0), (1.0, 20.0), (2.0, 1.0)])
def test_weight(ours, theirs, with_gradients):
  candidate = lambda x, b: ours * tf.reduce_mean(tf.abs(x - b["boxes"]))
  original = lambda x, b: theirs * (x - b["boxes"]).abs().mean()
  assert cause(candidate, original, BOXES, with_gradients=with_gradients) == "loss_weight"


def test_term_missing_in_the_total():
  def candidate(x, b):
    one, two = tf.reduce_mean(tf.abs(x - b["boxes"])), tf.reduce_mean(tf.square(x - b["boxes"]))
    return {"one": one, "two": two, "total": 5 * one}

  def original(x, b):
    one, two = (x - b["boxes"]).abs().mean(), (x - b["boxes"]).square().mean()
    return {"one": one, "two": two, "total": 5 * one + 2 * two}

  assert cause(candidate, original, BOXES) == "loss_weight"


def class_weights(last):
  return np.array([1.0, 1.0, 1.0, 1.0, last])


def weighted_entropy(x, batch, weights):
  w = tf.gather(tf.constant(weights), batch["classes"])
  return tf.reduce_sum(entropy(x, batch) * w) / tf.reduce_sum(w)


def torch_weighted(x, batch):
  return torch_entropy(x, batch, weight=torch.from_numpy(class_weights(0.1)))


@pytest.mark.parametrize("last", [0.001, 1.0])
def test_no_object(last):
  candidate = lambda x, b: weighted_entropy(x, b, class_weights(last))
  assert cause(candidate, torch_weighted, LOGITS) == "no_object_weight"


def test_no_object_by_choice():
  def candidate(x, batch):
    w = tf.where(batch["classes"] == 4, tf.constant(0.4, x.dtype), tf.constant(1.0, x.dtype))
    return tf.reduce_sum(entropy(x, batch) * w) / tf.reduce_sum(w)

  assert cause(candidate, torch_weighted, LOGITS) == "no_object_weight"


def test_no_object_weight_left_out():
  candidate = lambda x, b: tf.reduce_mean(entropy(x, b))

  def original(x, b):
    losses = torch_entropy(x, b, reduction="none")
    return (losses * torch.from_numpy(class_weights(0.1))[b["classes"]]).mean()

  assert cause(candidate, original, LOGITS) == "no_object_weight"


def test_sum_of_class_weights():
  weights = class_weights(0.1)
  candidate = lambda x, b: tf.reduce_mean(
    entropy(x, b) * tf.gather(tf.constant(weights), b["classes"])
  )
  assert cause(candidate, torch_weighted, LOGITS) == "loss_reduction"


@pytest.mark.parametrize(
  ("candidate", "original", "outputs"),
  [
    (lambda x, b: dice(x, b, smooth=1e-5), torch_dice, MASKS),
    (lambda x, b: dice(x, b, squares=True), torch_dice, MASKS),
    (dice, lambda x, b: torch_dice(x, b, squares=True), MASKS),
    (lambda x, b: focal(x, b, gamma=1.5), torch_focal, MASKS),
    (
      lambda x, b: tf.reduce_mean(tf.square(x - b["boxes"])),
      lambda x, b: (x - b["boxes"]).abs().mean(),
      BOXES,
    ),
    (
      lambda x, b: tf.reduce_mean(tf.abs(x - b["boxes"])),
      lambda x, b: F.smooth_l1_loss(x, b["boxes"]),
      BOXES,
    ),
    (
      lambda x, b: tf.reduce_mean((tf.nn.relu(x) - b["masks"]) ** 2),
      lambda x, b: (x.sigmoid() - b["masks"]).square().mean(),
      MASKS,
    ),
    (
      lambda x, b: tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(b["masks"], x)),
      lambda x, b: F.binary_cross_entropy_with_logits(x.sigmoid(), b["masks"]),
      MASKS,
    ),
  ],
  ids=["smooth", "squares", "no squares", "gamma", "l2", "l1", "relu", "probabilities"],
)
def test_form(candidate, original, outputs):
  assert cause(candidate, original, outputs) == "loss_form"


def test_mask_of_valid_boxes():
  def candidate(x, batch):
    errors = tf.reduce_sum(tf.abs(x - batch["boxes"]), -1)
    return tf.reduce_sum(tf.where(batch["valid"], tf.zeros_like(errors), errors))

  def original(x, batch):
    return ((x - batch["boxes"]).abs().sum(-1) * batch["valid"]).sum()

  assert cause(candidate, original, BOXES) == "mask_polarity"


def test_detached_target():
  def candidate(x, batch):
    quality = tf.sigmoid(x[..., 0])
    return tf.reduce_mean(tf.square(x[..., 1] - quality))

  def original(x, batch):
    return (x[..., 1] - x[..., 0].sigmoid().detach()).square().mean()

  assert cause(candidate, original, BOXES) == "target_detached"


def test_target_that_is_not_detached():
  def candidate(x, batch):
    quality = tf.stop_gradient(tf.sigmoid(x[..., 0]))
    return tf.reduce_mean(tf.square(x[..., 1] - quality))

  def original(x, batch):
    return (x[..., 1] - x[..., 0].sigmoid()).square().mean()

  assert cause(candidate, original, BOXES) == "target_detached"


def test_agreement_and_what_nobody_knows():
  assert engine.diagnose_loss(evidence(dice, torch_dice, MASKS)) == []
  found = engine.diagnose_loss(evidence(dice, lambda x, b: (x.sin() * b["masks"]).sum(), MASKS))
  assert not any(diagnosis.closes for diagnosis in found)
