"""Recordings of PyTorch networks against autograd's own figures."""

import dataclasses

import ml_dtypes
import numpy as np
import pytest
import torch
import transformers
from torch import nn
from torch.nn import functional as F

from official.cli.errors import UserError
from official.parity.case import Side
from official.parity.keys import Key
from official.parity.recorders.torch_recorder import TorchRecorder
from official.parity.recording.header import Header
from official.parity.recording.reader import Recording
from official.parity.recording.tiers import Tier
from official.parity.recording.writer import RecordingWriter

RNG = np.random.default_rng(0)
X = RNG.normal(size=[2, 3, 6, 6])


def side_of(network, losses=None, forward=None):
  default = lambda outputs, batch: {"total": outputs.square().mean()}
  return Side(network, forward or (lambda b, training: network(b["x"])), losses or default)


def record(path, side, x=X, tier=Tier.FULL, **options):
  with RecordingWriter(path / "r", Header("reference", "torch", {}, "float64", 0), tier) as writer:
    proofs = TorchRecorder(side).record({"x": x}, writer, **options)
  return Recording(path / "r"), proofs


def names(recording, phase, section):
  return recording.names(phase, section)


def read(recording, phase, section, name):
  return recording.read(Key(phase, section, name))


class Block(nn.Module):
  """In-place activation, in-place sum, a shared convolution, an unused one, a pass-through."""

  def __init__(self):
    super().__init__()
    self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    self.same = nn.Identity()
    self.twice = nn.Conv2d(4, 4, 1)
    self.unused = nn.Linear(2, 2)
    self.frozen = nn.Conv2d(4, 4, 1, bias=False).requires_grad_(False)

  def forward(self, x):
    x = self.body(x)
    y = self.twice(x)
    y += self.same(x)
    return {"low": x, "high": [self.frozen(self.twice(y)), None]}


def block_losses(outputs, batch):
  low, high = outputs["low"].sum(), outputs["high"][0].square().sum()
  return {"low": low, "high": high, "total": low + high}


@pytest.fixture
def block():
  torch.manual_seed(0)
  return Block().double()


def by_hand(block):
  """The same computation without anything in place: values and their gradients."""
  conv, norm = block.body[0], block.body[1]
  tensors = {"body.0": conv(torch.from_numpy(X))}
  mean, var = tensors["body.0"].mean((0, 2, 3)), tensors["body.0"].var((0, 2, 3), unbiased=False)
  scale = norm.weight / (var + norm.eps).sqrt()
  shape = (1, 4, 1, 1)
  tensors["body.1"] = (tensors["body.0"] - mean.view(shape)) * scale.view(shape)
  tensors["body.2"] = F.relu(tensors["body.1"])
  tensors["same"] = tensors["body.2"].clone()
  tensors["twice"] = F.conv2d(tensors["body.2"], block.twice.weight, block.twice.bias)
  y = tensors["twice"] + tensors["same"]
  tensors["twice#1"] = F.conv2d(y, block.twice.weight, block.twice.bias)
  tensors["frozen"] = F.conv2d(tensors["twice#1"], block.frozen.weight)
  for tensor in tensors.values():
    tensor.retain_grad()
  losses = block_losses({"low": tensors["body.2"], "high": [tensors["frozen"]]}, None)
  losses["total"].backward()
  return tensors


def test_outputs_and_gradients_of_every_call(tmp_path, block):
  recording, proofs = record(tmp_path, side_of(block, block_losses))
  assert [proof.holds for proof in proofs] == [True, True]
  tensors = by_hand(block)
  for name, tensor in tensors.items():
    got = read(recording, "train", "output", name)
    np.testing.assert_allclose(got, tensor.detach(), rtol=1e-9, atol=1e-12)
    got = read(recording, "train", "upstream", name)
    np.testing.assert_allclose(got, tensor.grad, rtol=1e-9, atol=1e-12, err_msg=name)
  # Through its own edge only what came from outside: the sum of the loss is no part of it.
  got = read(recording, "train", "upstream", "(model):low")
  np.testing.assert_array_equal(got, np.ones_like(got))
  got = read(recording, "train", "term_gradient", "high|(model):high.0")
  np.testing.assert_allclose(got, 2 * tensors["frozen"].detach())
  for name, parameter in block.named_parameters():
    if parameter.grad is not None and parameter.requires_grad:
      got = read(recording, "train", "gradient", name)
      np.testing.assert_allclose(got, parameter.grad, rtol=1e-9, atol=1e-12)


def test_a_pass_through_has_a_gradient_of_its_own(tmp_path, block):
  recording, _ = record(tmp_path, side_of(block, block_losses))
  tensors = by_hand(block)
  own = read(recording, "train", "upstream", "same")
  np.testing.assert_allclose(own, tensors["same"].grad, rtol=1e-9)
  assert np.abs(own - read(recording, "train", "upstream", "body.2")).max() > 0.1


def test_evaluation_is_in_evaluation_mode(tmp_path, block):
  block.body[1].running_mean += 1
  recording, _ = record(tmp_path, side_of(block, block_losses), phases=["eval"])
  x, norm = read(recording, "eval", "output", "body.0"), block.body[1]
  want = (x - 1) / np.sqrt(1 + norm.eps)
  np.testing.assert_allclose(read(recording, "eval", "output", "body.1"), want, rtol=1e-9)


class Listed(nn.Module):
  def __init__(self):
    super().__init__()
    self.rest = nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 6)])

  def forward(self, x):
    return self.rest[0](x)


def test_lists_of_modules_are_not_among_the_uncalled(tmp_path):
  recording, _ = record(tmp_path, side_of(Listed().double()))
  assert recording.notes["uncalled_eval"] == ["rest.1"]


class PassesOn(nn.Module):
  def __init__(self):
    super().__init__()
    self.stem, self.same = nn.Linear(6, 6), nn.Identity()

  def forward(self, x):
    x = 2 * self.stem(x)  # Not a tap.
    return x + 3 * self.same(x)


def test_a_pass_through_of_what_is_no_tap_has_a_gradient_of_its_own(tmp_path):
  side = side_of(PassesOn().double(), lambda outputs, batch: {"total": outputs.sum()})
  recording, _ = record(tmp_path, side)
  got = read(recording, "train", "upstream", "same")
  np.testing.assert_array_equal(got, np.full_like(got, 3))


def test_gradients_of_parameters_are_not_kept(tmp_path, block):
  held = []

  class Watching(RecordingWriter):
    def write(self, key, array):
      super().write(key, array)
      if key.section == "gradient":
        held.append(sum(p.grad is not None for p in block.parameters()))

  with Watching(tmp_path / "r", Header("reference", "torch", {}, "float64", 0)) as writer:
    TorchRecorder(side_of(block, block_losses)).record({"x": X}, writer)
  assert held == [1] * 6


def test_what_has_no_array_is_listed_with_its_reason(tmp_path, block):
  recording, _ = record(tmp_path, side_of(block, block_losses))
  absent = {(key.phase, key.section, key.name): why for key, why in recording.absent.items()}
  assert absent == {
    ("train", "gradient", "unused.weight"): "unused",
    ("train", "gradient", "unused.bias"): "unused",
    ("train", "gradient", "frozen.weight"): "frozen",
    ("train", "term_gradient", "low|(model):high.0"): "unused",
    ("train", "term_gradient", "high|(model):low"): "unused",
  }
  assert recording.notes["uncalled_train"] == ["unused"]


def test_taps_tell_where_they_are(tmp_path, block):
  recording, _ = record(tmp_path, side_of(block, block_losses))
  taps = {tap.name: tap for tap in recording.taps("train")}
  assert list(taps) == names(recording, "train", "output")
  assert list(taps) == [
    "body.0",
    "body.1",
    "body.2",
    "body",
    "twice",
    "same",
    "twice#1",
    "frozen",
    "(model):low",
    "(model):high.0",
  ]
  assert [tap.order for tap in taps.values()] == list(range(10))
  conv = taps["body.0"]
  assert (conv.layer, conv.parent, conv.call, conv.leaf) == ("Conv2d", "body", 0, "")
  assert (conv.shape, conv.dtype, conv.config["kernel_size"]) == ((2, 4, 4, 4), "float64", [3, 3])
  assert taps["body"].parent == "(model)"
  assert taps["(model):low"].parent == ""
  assert taps["body.1"].inputs == ("body.0",)
  assert taps["twice"].inputs == ("body",)
  assert taps["same"].inputs == ("body",)
  # What was given to the second call was changed in place after it was a tap.
  assert taps["twice#1"].inputs == ()
  assert (taps["twice#1"].path, taps["twice#1"].call) == ("twice", 1)
  assert TorchRecorder(side_of(block)).taps({"x": X}) == recording.taps("eval")


def test_the_network_is_as_it_was(tmp_path, block):
  block.train()
  block.body[1].eval()
  block.unused.weight.grad = torch.ones(2, 2, dtype=torch.float64)
  state = {name: value.clone() for name, value in block.state_dict().items()}
  random = torch.random.get_rng_state()
  recording, _ = record(tmp_path, side_of(block, block_losses))
  for name, value in block.state_dict().items():
    assert torch.equal(value, state[name])
  moved = read(recording, "train", "buffer", "body.1.running_mean")
  assert np.abs(moved - state["body.1.running_mean"].numpy()).max() > 1e-3
  assert block.training
  assert not block.body[1].training
  assert torch.equal(block.unused.weight.grad, torch.ones(2, 2))
  assert block.twice.weight.grad is None
  assert torch.equal(torch.random.get_rng_state(), random)
  assert not torch.are_deterministic_algorithms_enabled()
  assert not any(m._forward_hooks or m._forward_pre_hooks for m in block.modules())


def test_inputs_are_not_changed(tmp_path):
  x = X.copy()
  network = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 1, 1)).double()
  recording, _ = record(tmp_path, side_of(network), x)
  np.testing.assert_array_equal(x, X)
  np.testing.assert_array_equal(read(recording, "batch", "input", "x"), X)
  np.testing.assert_array_equal(read(recording, "train", "output", "0"), np.maximum(X, 0))


def test_parameters_buffers_and_loading(block):
  recorder = TorchRecorder(side_of(block))
  parameters, buffers = recorder.parameters(), recorder.buffers()
  kept = block.state_dict()
  assert set(parameters) | set(buffers) == set(kept)
  assert not set(parameters) & set(buffers)
  parameters["twice.weight"] += 1
  assert not np.allclose(kept["twice.weight"], parameters["twice.weight"])  # They are copies.
  recorder.load(parameters, buffers)
  np.testing.assert_array_equal(block.twice.weight.detach(), parameters["twice.weight"])
  with pytest.raises(KeyError, match="twice"):
    recorder.load({k: v for k, v in parameters.items() if "twice" not in k}, buffers)
  with pytest.raises(ValueError, match="shape"):
    recorder.load(parameters | {"twice.bias": np.zeros(1)}, buffers)


class Tied(nn.Module):
  def __init__(self):
    super().__init__()
    self.embedding = nn.Embedding(5, 3)
    self.head = nn.Linear(3, 5, bias=False)
    self.head.weight = self.embedding.weight
    self.register_buffer("positions", torch.arange(3), persistent=False)
    self.queries = nn.Parameter(torch.ones(2, 3))
    self.hand_on = nn.Identity()

  def forward(self, tokens):
    x = self.embedding(tokens)
    return self.head(x + self.hand_on(self.queries)), tokens + 1


def test_shared_parameters_integers_and_parameters_as_outputs(tmp_path):
  network = Tied().double()
  side = side_of(network, lambda o, b: {"total": o[0].square().sum()})
  recording, proofs = record(tmp_path, side, np.array([[0, 1], [2, 1]]))
  assert all(proof.holds for proof in proofs)
  assert names(recording, "init", "parameter") == ["queries", "embedding.weight"]
  assert names(recording, "init", "buffer") == []
  assert read(recording, "eval", "output", "(model):1").dtype == np.int64
  assert "(model):1" not in names(recording, "train", "upstream")
  outputs, _ = network(torch.tensor([[0, 1], [2, 1]]))
  outputs.square().sum().backward()
  for name, parameter in network.named_parameters():
    np.testing.assert_allclose(read(recording, "train", "gradient", name), parameter.grad)
  got = read(recording, "train", "upstream", "hand_on")
  np.testing.assert_allclose(got, network.queries.grad)


def test_bfloat16_bits(tmp_path):
  network = nn.Conv2d(3, 2, 1).bfloat16()
  x = X.astype(ml_dtypes.bfloat16)
  recording, _ = record(tmp_path, side_of(network), x)
  want = network(torch.from_numpy(X).bfloat16())
  got = read(recording, "eval", "output", "(model)")
  assert got.dtype == ml_dtypes.bfloat16
  np.testing.assert_array_equal(got.astype(np.float32), want.float().detach())
  assert read(recording, "batch", "input", "x").tobytes() == x.tobytes()


class Checkpointed(nn.Module):
  def __init__(self):
    super().__init__()
    self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)

  def forward(self, x):
    x = self.a(x)
    return torch.utils.checkpoint.checkpoint(self.b, x, use_reentrant=False)


def test_modules_that_run_again_in_the_backward_pass_are_recorded_once(tmp_path):
  with torch.utils.checkpoint.set_checkpoint_early_stop(False):
    recording, proofs = record(tmp_path, side_of(Checkpointed().double()))
  assert names(recording, "train", "output") == ["a", "b", "(model)"]
  assert names(recording, "train", "upstream") == ["(model)", "b", "a"]
  assert all(proof.holds for proof in proofs)


class Noisy(nn.Module):
  """Draws from a generator that no seed reaches."""

  def __init__(self):
    super().__init__()
    self.linear = nn.Linear(6, 6)
    self.generator = torch.Generator()

  def forward(self, x):
    return self.linear(x) + 1e-12 * torch.rand(x.shape, generator=self.generator)


def test_what_is_not_deterministic_is_found(tmp_path):
  _, proofs = record(tmp_path, side_of(Noisy().double()))
  for proof in proofs:
    assert not proof.deterministic
    assert "not deterministic" in proof.sentence


def test_dropout_is_the_same_in_every_pass(tmp_path):
  network = nn.Sequential(nn.Linear(6, 50), nn.Dropout(0.5)).double()
  recording, proofs = record(tmp_path, side_of(network))
  assert all(proof.holds for proof in proofs)
  dropped = read(recording, "train", "output", "1") == 0
  assert 0.3 < dropped.mean() < 0.7
  torch.rand(7)
  again, _ = record(tmp_path, side_of(network))
  np.testing.assert_array_equal(read(again, "train", "output", "1") == 0, dropped)


class Watchful(nn.Module):
  """Computes otherwise where it is watched, as fused kernels do."""

  def __init__(self, place):
    super().__init__()
    self.linear, self.place = nn.Linear(6, 6), place

  def forward(self, x):
    y = self.linear(x)
    watched = bool(self.linear._forward_hooks)
    if watched and self.place == "output":
      y = y * (1 + 1e-15)
    if watched and self.place == "gradient" and y.requires_grad:
      y.register_hook(lambda gradient: gradient * (1 + 1e-11))
    return y


@pytest.mark.parametrize(("place", "first"), [("output", "result"), ("gradient", "gradient")])
def test_taps_that_change_the_result_are_found(tmp_path, place, first):
  torch.manual_seed(0)
  _, proofs = record(tmp_path, side_of(Watchful(place).double()))
  train = proofs[1]
  assert train.deterministic
  assert not train.harmless
  assert f"taps change {first}" in train.sentence


class ManyUses(nn.Module):
  """Three gradients meet, two of them through a pass-through: their order is not the network's."""

  def __init__(self):
    super().__init__()
    self.stem, self.same = nn.Linear(6, 6), nn.Identity()
    self.a, self.b, self.c = (nn.Linear(6, 6) for _ in range(3))

  def forward(self, x):
    x = self.stem(x)
    y = self.same(x)
    return self.a(y) + self.b(x) + self.c(y)


@pytest.mark.parametrize("tier", list(Tier))
def test_another_order_of_addition_is_harmless_and_told(tmp_path, tier):
  torch.manual_seed(0)
  _, proofs = record(tmp_path, side_of(ManyUses().double()), tier=tier)
  assert all(proof.holds for proof in proofs)
  assert "off by rounding" in proofs[1].sentence


def test_the_losses_need_a_total(tmp_path, block):
  side = side_of(block, lambda outputs, batch: {"loss": outputs["low"].sum()})
  with pytest.raises(UserError, match=r"\(loss\) have no 'total'"):
    record(tmp_path, side)
  assert list(tmp_path.iterdir()) == []


def test_only_the_phases_asked_for(tmp_path, block):
  recording, proofs = record(tmp_path, side_of(block, block_losses), phases=["eval"])
  assert {key.phase for key in recording} == {"eval"}
  assert len(proofs) == 1


@dataclasses.dataclass
class Opaque:
  values: torch.Tensor


class Wrapped:
  """Not a structure that anybody knows."""


class Odd(nn.Module):
  def __init__(self):
    super().__init__()
    self.inner = nn.Linear(6, 6)

  def forward(self, x):
    return Opaque(self.inner(x)), Wrapped(), "text", torch.fft.fft(x)


def test_dataclasses_are_entered_and_what_cannot_be_recorded_is_listed(tmp_path):
  side = side_of(Odd().double(), lambda o, b: {"total": o[0].values.sum()})
  recording, _ = record(tmp_path, side)
  assert names(recording, "eval", "output") == ["inner", "(model):0.values"]
  assert recording.absent[Key("eval", "output", "(model):1")] == "recordings do not hold Wrapped"
  assert recording.absent[Key("eval", "output", "(model):3")] == "recordings do not hold complex128"


def test_an_original_that_nobody_here_wrote(tmp_path):
  """DETR's decoder layer of transformers: fused attention in one, tuples, masks by keyword."""
  config = transformers.DetrConfig(
    d_model=8, decoder_attention_heads=2, decoder_ffn_dim=8, dropout=0.0
  )
  layer = transformers.models.detr.modeling_detr.DetrDecoderLayer(config).double()
  queries = torch.from_numpy(RNG.normal(size=[2, 3, 8]))

  def forward(batch, training):
    return layer(queries, encoder_hidden_states=batch["x"])

  total = lambda outputs: (outputs[0] if isinstance(outputs, tuple) else outputs).square().sum()
  side = side_of(layer, lambda outputs, batch: {"total": total(outputs)}, forward)
  x = RNG.normal(size=[2, 5, 8])
  recording, proofs = record(tmp_path, side, x)
  assert all(proof.holds for proof in proofs)
  layer.train()
  total(forward({"x": torch.from_numpy(x)}, True)).backward()
  parameters = dict(layer.named_parameters())
  assert names(recording, "train", "gradient") != []
  for name in names(recording, "train", "gradient"):
    want = parameters[name].grad
    np.testing.assert_allclose(read(recording, "train", "gradient", name), want, atol=1e-12)
