"""Optimizer steps: PyTorch's optimizers with one setting changed, and Keras' against PyTorch's."""

import copy

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import torch

from official.parity.diagnosis import engine
from official.parity.diagnosis.evidence import OptimizerEvidence
from tests.official.parity.diagnosis.planting import normal

SHAPES = {"conv": (3, 4), "norm": (4,), "head": (4, 5), "bias": (5,)}
START = {name: normal(*shape, seed=n) for n, (name, shape) in enumerate(SHAPES.items())}
SLOTS = {"exp_avg": "m", "exp_avg_sq": "v", "momentum_buffer": "momentum"}


def gradients(step):
  return {
    name: normal(*shape, seed=100 * step + n) * 0.1
    for n, (name, shape) in enumerate(SHAPES.items())
  }


class Side:
  """An optimizer over the parameters, step after step."""

  def __init__(self, optimizer, clip=None, groups=None, **settings):
    self.parameters = {n: torch.nn.Parameter(torch.from_numpy(a.copy())) for n, a in START.items()}
    groups = groups or [{"names": list(SHAPES)}]
    grouped = [
      {
        **{k: v for k, v in g.items() if k != "names"},
        "params": [self.parameters[n] for n in g["names"]],
      }
      for g in groups
    ]
    self.optimizer, self.clip = optimizer(grouped, **settings), clip
    self.rate = settings["lr"]

  def step(self, number):
    for name, gradient in gradients(number).items():
      self.parameters[name].grad = torch.from_numpy(gradient.copy())
    if self.clip:
      self.clip(list(self.parameters.values()))
    self.optimizer.step()

  def state(self):
    slots = {
      f"{name}|{SLOTS[slot]}": value.numpy().copy()
      for name, parameter in self.parameters.items()
      for slot, value in self.optimizer.state.get(parameter, {}).items()
      if slot in SLOTS and value is not None
    }
    return {n: p.detach().numpy().copy() for n, p in self.parameters.items()}, slots

  def load(self, other):
    for name, parameter in self.parameters.items():
      state = other.optimizer.state.get(other.parameters[name], {})
      self.optimizer.state[parameter] = copy.deepcopy(state)
      parameter.data.copy_(other.parameters[name].data)


def evidence(candidate, original, steps=1):
  """The last of `steps` steps; the candidate goes on from the original's state."""
  for number in range(1, steps):
    original.step(number)
  before, slots_before = original.state()
  if steps > 1:
    candidate.load(original)
  for side in (original, candidate):
    side.step(steps)
  (after, slots), (own, own_slots) = original.state(), candidate.state()
  return OptimizerEvidence(
    step=steps - 1,
    gradients=gradients(steps),
    before=before,
    reference=after,
    candidate=own,
    slots_before=slots_before,
    reference_slots=slots,
    candidate_slots=own_slots,
    rates=(original.rate, candidate.rate),
  )


def cause(candidate, original, steps=1):
  found = engine.diagnose_optimizer(evidence(candidate, original, steps))
  assert found, "no diagnosis"
  assert found[0].closes, found
  return found[0].cause


def adamw(**settings):
  return Side(torch.optim.AdamW, **{"lr": 1e-3, "weight_decay": 0.05, **settings})


def sgd(**settings):
  return Side(torch.optim.SGD, **{"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-2, **settings})


def all_together(norm):
  return lambda parameters: torch.nn.utils.clip_grad_norm_(parameters, norm)


def each(norm):
  return lambda parameters: [torch.nn.utils.clip_grad_norm_([p], norm) for p in parameters]


def by_value(bound):
  return lambda parameters: torch.nn.utils.clip_grad_value_(parameters, bound)


UNDECAYED = [
  {"names": ["conv", "head"]},
  {"names": ["norm", "bias"], "weight_decay": 0.0},
]
SLOW = [{"names": ["conv", "norm"], "lr": 1e-4}, {"names": ["head", "bias"]}]


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize(
  ("candidate", "original", "expected"),
  [
    (lambda: adamw(clip=each(0.1)), lambda: adamw(clip=all_together(0.1)), "clip_scope"),
    (adamw, lambda: adamw(clip=all_together(0.1)), "clip_scope"),
    (lambda: adamw(clip=by_value(0.1)), lambda: adamw(clip=all_together(0.1)), "clip_scope"),
    (lambda: adamw(clip=all_together(0.1)), lambda: adamw(clip=all_together(0.01)), "clip_scope"),
    (
      lambda: Side(torch.optim.Adam, lr=1e-3, weight_decay=0.05),
      adamw,
      "decay_coupling",
    ),
    (adamw, lambda: adamw(groups=UNDECAYED), "decay_exclusion"),
    (lambda: adamw(groups=UNDECAYED), adamw, "decay_exclusion"),
    (lambda: adamw(weight_decay=0.01), adamw, "decay_amount"),
    (lambda: adamw(weight_decay=0.0), adamw, "decay_amount"),
    (lambda: adamw(betas=(0.8, 0.999)), adamw, "momentum"),
    (lambda: adamw(betas=(0.9, 0.99)), adamw, "momentum"),
    (lambda: adamw(eps=1e-6), adamw, "optimizer_epsilon"),
    (lambda: adamw(lr=2e-3), adamw, "learning_rate"),
    (adamw, lambda: adamw(groups=SLOW), "learning_rate"),
    (lambda: sgd(clip=each(0.1)), lambda: sgd(clip=all_together(0.1)), "clip_scope"),
    (sgd, lambda: sgd(groups=UNDECAYED), "decay_exclusion"),
    (lambda: sgd(weight_decay=1e-3), sgd, "decay_amount"),
    (lambda: sgd(nesterov=True), sgd, "momentum"),
    (lambda: sgd(lr=0.1), sgd, "learning_rate"),
  ],
)
def test_one_setting(candidate, original, expected, steps):
  assert cause(candidate(), original(), steps) == expected


def test_momentum_of_sgd():
  assert cause(sgd(momentum=0.8), sgd(), steps=3) == "momentum"


def test_frozen():
  candidate = adamw()
  candidate.parameters["head"].requires_grad_(False)
  step = candidate.step

  def without_head(number):
    held = candidate.parameters["head"].detach().clone()
    step(number)
    candidate.parameters["head"].data.copy_(held)

  candidate.step = without_head
  assert cause(candidate, adamw()) == "parameter_frozen"


def keras_step(optimizer, start, number):
  variables = {name: tf.Variable(array, dtype="float64") for name, array in start.items()}
  optimizer.build(list(variables.values()))
  optimizer.apply_gradients([(tf.constant(gradients(number)[n]), v) for n, v in variables.items()])
  slots = {}
  for kind, held in (("m", optimizer._momentums), ("v", optimizer._velocities)):
    slots |= {f"{n}|{kind}": s.numpy() for n, s in zip(variables, held, strict=True)}
  return {n: v.numpy() for n, v in variables.items()}, slots


def test_epsilon_of_keras():
  tf_keras.backend.set_floatx("float64")
  try:
    optimizer = tf_keras.optimizers.Adam(np.float64(1e-3), epsilon=1e-5)
    own, own_slots = keras_step(optimizer, START, 1)
  finally:
    tf_keras.backend.set_floatx("float32")
  original = Side(torch.optim.Adam, lr=1e-3, eps=1e-5)
  original.step(1)
  after, slots = original.state()
  found = engine.diagnose_optimizer(
    OptimizerEvidence(
      0, gradients(1), START, after, own, {}, slots, own_slots, rates=(1e-3, 1e-3), limit=1e-7
    )
  )
  assert found[0].cause == "optimizer_epsilon"
  assert "hat" in found[0].sentence


def test_bias_correction():
  original = adamw(weight_decay=0.0)
  original.step(1)
  after, slots = original.state()
  own = {
    n: p - 1e-3 * slots[f"{n}|m"] / (np.sqrt(slots[f"{n}|v"]) + 1e-8) for n, p in START.items()
  }
  found = engine.diagnose_optimizer(
    OptimizerEvidence(0, gradients(1), START, after, own, {}, slots, slots, rates=(1e-3, 1e-3))
  )
  assert found[0].closes
  assert found[0].cause == "bias_correction"


def test_averages():
  parameters = {n: a + 0.1 for n, a in START.items()}
  averages = [{n: d * START[n] + (1 - d) * parameters[n] for n in START} for d in (0.9998, 0.999)]
  found = engine.diagnose_optimizer(
    OptimizerEvidence(
      0,
      gradients(1),
      START,
      parameters,
      parameters,
      averages_before=START,
      reference_averages=averages[0],
      candidate_averages=averages[1],
    )
  )
  assert found[0].closes
  assert found[0].cause == "average_decay"


def test_the_next_rate():
  parameters = {n: a + 0.1 for n, a in START.items()}
  found = engine.diagnose_optimizer(
    OptimizerEvidence(0, gradients(1), START, parameters, parameters, next_rates=(1e-3, 9e-4))
  )
  assert found[0].closes
  assert found[0].cause == "learning_rate"


def test_agreement_and_what_nobody_knows():
  assert engine.diagnose_optimizer(evidence(adamw(), adamw())) == []
  strange = evidence(adamw(), adamw())
  for name in strange.candidate:
    strange.candidate[name] += normal(*SHAPES[name], seed=77)
  assert not any(d.closes for d in engine.diagnose_optimizer(strange))
