"""Steps of the PyTorch trainer against the optimizers' formulas, and going on from a state."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from official.parity.recorders.torch_trainer import TorchTrainer

RNG = np.random.default_rng(0)
BATCHES = [{"x": torch.from_numpy(RNG.normal(size=[4, 3]))} for _ in range(4)]
DECAY, MOMENTUM = 0.1, 0.9


class Net(nn.Module):
  def __init__(self):
    super().__init__()
    self.norm = nn.BatchNorm1d(3, affine=False)
    self.linear = nn.Linear(3, 2)

  def forward(self, x):
    return self.linear(self.norm(x))


def losses(outputs, batch):
  return {"squares": outputs.square().sum(), "total": outputs.square().sum() + outputs.sum()}


def trainer(make=None, average=True, clip=None, schedule=True):
  torch.manual_seed(0)
  network = Net().double()
  make = make or (lambda p: torch.optim.SGD(p, 0.1, MOMENTUM, weight_decay=DECAY, nesterov=True))
  optimizer = make(network.parameters())
  rate = lambda step: 1 / (1 + step)
  return TorchTrainer(
    network,
    optimizer,
    losses,
    lambda batch, training: network(batch["x"]),
    torch.optim.lr_scheduler.LambdaLR(optimizer, rate) if schedule else None,
    AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.8)) if average else None,
    clip,
  )


def gradients(parameters, batch):
  """Of the linear layer behind the batch norm, by hand."""
  x = batch["x"].numpy()
  x = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
  upstream = 2 * (x @ parameters["linear.weight"].T + parameters["linear.bias"]) + 1
  return {"linear.weight": upstream.T @ x, "linear.bias": upstream.sum(0)}


def section(state, name):
  return {key[1]: array for key, array in state.items() if key[0] == name}


def assert_close(got, want):
  assert set(got) == set(want)
  for name in want:
    np.testing.assert_allclose(got[name], want[name], rtol=1e-11, atol=1e-13, err_msg=name)


def test_sgd_schedule_average_and_statistics():
  tested = trainer()
  state = tested.state()
  parameters, average = section(state, "parameter"), section(state, "parameter")
  mean, buffers = np.zeros(3), {name: np.zeros_like(p) for name, p in parameters.items()}
  assert section(state, "slot") == {}
  for step, batch in enumerate(BATCHES):
    rate = 0.1 / (1 + step)
    for name, gradient in gradients(parameters, batch).items():
      gradient = gradient + DECAY * parameters[name]
      buffers[name] = gradient if step == 0 else MOMENTUM * buffers[name] + gradient
      parameters[name] = parameters[name] - rate * (gradient + MOMENTUM * buffers[name])
      old = average[name]
      average[name] = parameters[name] if step == 0 else 0.8 * old + 0.2 * parameters[name]
    mean = 0.9 * mean + 0.1 * batch["x"].numpy().mean(0)
    loss = tested.step(batch)
    assert set(loss) == {"squares", "total"}
    assert not loss["total"].requires_grad
    state = tested.state()
    assert_close(section(state, "parameter"), parameters)
    assert_close(section(state, "slot"), {f"{n}|momentum": b for n, b in buffers.items()})
    assert_close(section(state, "average"), average)
    np.testing.assert_allclose(state["buffer", "norm.running_mean"], mean)
    np.testing.assert_allclose(state["rate", "learning_rate"], 0.1 / (2 + step), rtol=1e-15)
    assert state["rate", "steps"] == step + 1


OPTIMIZERS = {
  "sgd": None,
  "adamw": lambda p: torch.optim.AdamW(p, 0.1, amsgrad=True),
  "rmsprop": lambda p: torch.optim.RMSprop(p, 0.1, momentum=0.5),
  "adagrad": lambda p: torch.optim.Adagrad(p, 0.1),
}
SLOTS = {
  "sgd": {"momentum"},
  "adamw": {"m", "v", "vhat"},
  "rmsprop": {"rms", "momentum"},
  "adagrad": {"accumulator"},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_going_on_from_a_state_is_the_same_bit_for_bit(name):
  first, second = trainer(OPTIMIZERS[name]), trainer(OPTIMIZERS[name])
  states = [first.state()]
  for batch in BATCHES:
    first.step(batch)
    states.append(first.state())
  slots = {key.split("|")[1] for key in section(states[-1], "slot")}
  assert slots == SLOTS[name]
  for step in (2, 3, 0, 1):  # In any order, also back to where there were no slots.
    second.load(states[step])
    second.step(BATCHES[step])
    got, want = second.state(), states[step + 1]
    assert set(got) == set(want)
    for key in want:
      np.testing.assert_array_equal(got[key], want[key], err_msg=str(key))


def test_a_state_that_lacks_something_or_has_another_shape_is_refused():
  tested = trainer()
  state = tested.state()
  with pytest.raises(KeyError):
    tested.load({key: a for key, a in state.items() if key[0] != "average"})
  with pytest.raises(KeyError):
    tested.load({key: a for key, a in state.items() if key[0] != "rate"})
  with pytest.raises(ValueError, match="shape"):
    tested.load(state | {("parameter", "linear.bias"): np.zeros(1)})


def test_clipping_and_groups():
  groups = lambda p: torch.optim.SGD(
    [{"params": [q]} | ({"lr": 0.5} if q.ndim == 1 else {}) for q in p], lr=0.1
  )
  clip = lambda p: nn.utils.clip_grad_norm_(p, 0.01)
  tested = trainer(groups, average=False, clip=clip, schedule=False)
  before = tested.state()
  assert before["rate", "learning_rate"] == 0.1
  assert before["rate", "learning_rate.1"] == 0.5
  tested.step(BATCHES[0])
  after = tested.state()
  gradient = gradients(section(before, "parameter"), BATCHES[0])
  norm = np.sqrt(sum((g**2).sum() for g in gradient.values()))
  for name, rate in (("linear.weight", 0.1), ("linear.bias", 0.5)):
    step = after["parameter", name] - before["parameter", name]
    np.testing.assert_allclose(step, -rate * gradient[name] * 0.01 / norm, rtol=1e-3)
