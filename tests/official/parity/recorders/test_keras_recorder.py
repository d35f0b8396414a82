"""Recordings of Keras networks against a plain tape, and values forced into them."""

import errno
import os

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras import layers

from official.cli.errors import UserError
from official.parity.case import Side
from official.parity.keys import Key
from official.parity.recorders.keras_names import counting_anew
from official.parity.recorders.keras_recorder import KerasRecorder
from official.parity.recording.header import Header
from official.parity.recording.reader import Recording
from official.parity.recording.writer import RecordingWriter

RNG = np.random.default_rng(0)
X = RNG.normal(size=[2, 6, 6, 3])


def side_of(network, losses=None, forward=None):
  default = lambda outputs, batch: {"total": tf.reduce_mean(tf.square(outputs))}
  call = lambda batch, training: network(batch["x"], training=training)
  return Side(network, forward or call, losses or default)


def record(path, side, x=X, name="r", **options):
  header = Header("candidate", "tensorflow", {}, "float64", 0)
  with RecordingWriter(path / name, header) as writer:
    proofs = KerasRecorder(side).record({"x": x}, writer, **options)
  return Recording(path / name), proofs


def read(recording, phase, section, name):
  return recording.read(Key(phase, section, name))


class Block(tf_keras.Model):
  """A nested model, a shared layer, one in a list, an unused one, a frozen one, a raw variable."""

  def __init__(self):
    super().__init__(name="block", dtype="float64")
    image = tf_keras.Input([6, 6, 3], dtype="float64")
    x = layers.Conv2D(4, 3, name="conv", dtype="float64")(image)
    x = layers.BatchNormalization(name="norm", dtype="float64")(x)
    self.body = tf_keras.Model(image, tf.nn.relu(x), name="body")
    self.twice = layers.Conv2D(4, 1, name="twice", dtype="float64")
    self.rest = [layers.Conv2D(4, 1, use_bias=False, name="frozen", dtype="float64")]
    self.rest[0].trainable = False
    self.spare = layers.Dense(2, name="spare", dtype="float64")
    self.spare.build([2, 2])
    self.scale = tf.Variable(np.full(4, 0.5), name="scale")

  def call(self, x, training=False):
    x = self.body(x)
    y = self.twice(x) + x * self.scale
    return {"low": x, "high": [self.rest[0](self.twice(y)), None]}


def block_losses(outputs, batch):
  low, high = tf.reduce_sum(outputs["low"]), tf.reduce_sum(tf.square(outputs["high"][0]))
  return {"low": low, "high": high, "total": low + high}


@pytest.fixture
def block():
  tf_keras.utils.set_random_seed(0)
  with counting_anew():
    network = Block()
  network(X)
  return network


def by_hand(block):
  """The same computation with tensors that a plain tape knows: values and their gradients."""
  conv, norm = block.body.get_layer("conv"), block.body.get_layer("norm")
  variables = {
    "body/conv/kernel": conv.kernel,
    "body/conv/bias": conv.bias,
    "body/norm/gamma": norm.gamma,
    "body/norm/beta": norm.beta,
    "twice/kernel": block.twice.kernel,
    "twice/bias": block.twice.bias,
    "scale": block.scale,
  }
  with tf.GradientTape() as tape:
    t = {"body/conv": tf.nn.conv2d(X, conv.kernel, 1, "VALID") + conv.bias}
    mean, variance = tf.nn.moments(t["body/conv"], [0, 1, 2])
    scaled = (t["body/conv"] - mean) / tf.sqrt(variance + norm.epsilon)
    t["body/norm"] = scaled * norm.gamma + norm.beta
    t["body"] = tf.nn.relu(t["body/norm"])
    t["twice"] = tf.nn.conv2d(t["body"], block.twice.kernel, 1, "SAME") + block.twice.bias
    y = t["twice"] + t["body"] * block.scale
    t["twice#1"] = tf.nn.conv2d(y, block.twice.kernel, 1, "SAME") + block.twice.bias
    t["frozen"] = tf.nn.conv2d(t["twice#1"], block.rest[0].kernel, 1, "SAME")
    total = block_losses({"low": t["body"], "high": [t["frozen"]]}, None)["total"]
  gradients = tape.gradient(total, {"taps": t, "variables": variables})
  return t, gradients["taps"], gradients["variables"]


def test_outputs_and_gradients_of_every_call(tmp_path, block):
  recording, proofs = record(tmp_path, side_of(block, block_losses))
  assert [proof.holds for proof in proofs] == [True, True]
  tensors, upstream, gradients = by_hand(block)
  for name, tensor in tensors.items():
    got = read(recording, "train", "output", name)
    np.testing.assert_allclose(got, tensor, rtol=1e-9, atol=1e-12)
  # What flows back through the edge of `body`, without what its own parts add.
  for name in set(tensors):
    got = read(recording, "train", "upstream", name)
    np.testing.assert_allclose(got, upstream[name], rtol=1e-9, atol=1e-12, err_msg=name)
  got = read(recording, "train", "upstream", "(model):low")
  np.testing.assert_array_equal(got, np.ones_like(got))
  got = read(recording, "train", "term_gradient", "high|(model):high.0")
  np.testing.assert_allclose(got, 2 * tensors["frozen"])
  assert set(recording.names("train", "gradient")) == set(gradients)
  for name, gradient in gradients.items():
    got = read(recording, "train", "gradient", name)
    np.testing.assert_allclose(got, gradient, rtol=1e-9, atol=1e-12, err_msg=name)


def test_what_has_no_array_is_listed_with_its_reason(tmp_path, block):
  recording, _ = record(tmp_path, side_of(block, block_losses))
  absent = {(key.phase, key.section, key.name): why for key, why in recording.absent.items()}
  assert absent == {
    ("train", "gradient", "spare/kernel"): "unused",
    ("train", "gradient", "spare/bias"): "unused",
    ("train", "gradient", "frozen/kernel"): "frozen",
    ("train", "term_gradient", "low|(model):high.0"): "unused",
    ("train", "term_gradient", "high|(model):low"): "unused",
  }
  assert recording.notes["uncalled_train"] == ["spare"]


def test_taps_tell_where_they_are(tmp_path, block):
  recording, _ = record(tmp_path, side_of(block, block_losses))
  taps = {tap.name: tap for tap in recording.taps("train")}
  assert list(taps) == [
    "body/conv",
    "body/norm",
    "body/tf.nn.relu",
    "body",
    "twice",
    "twice#1",
    "frozen",
    "(model):low",
    "(model):high.0",
  ]
  assert [tap.order for tap in taps.values()] == list(range(9))
  conv = taps["body/conv"]
  assert (conv.layer, conv.parent, conv.call, conv.leaf) == ("Conv2D", "body", 0, "")
  assert (conv.shape, conv.dtype, conv.config["kernel_size"]) == ((2, 4, 4, 4), "float64", [3, 3])
  assert conv.config["activation"] == "linear"
  assert taps["body"].parent == "(model)"
  assert taps["(model):low"].parent == ""
  assert taps["body/norm"].inputs == ("body/conv",)
  assert taps["twice"].inputs == ("body",)
  assert taps["twice#1"].inputs == ()  # Given a sum.
  assert (taps["twice#1"].path, taps["twice#1"].call) == ("twice", 1)
  assert KerasRecorder(side_of(block)).taps({"x": X}) == recording.taps("eval")


def test_network_and_globals_are_as_they_were(tmp_path, block):
  call = layers.Layer.__call__
  before = [v.numpy() for v in block.variables]
  tf.random.set_seed(5)
  np.random.seed(5)
  expected = np.random.RandomState(5).uniform()
  recording, _ = record(tmp_path, side_of(block, block_losses))
  for variable, value in zip(block.variables, before, strict=True):
    np.testing.assert_array_equal(variable, value)
  moved = read(recording, "train", "buffer", "body/norm/moving_mean")
  assert np.abs(moved).max() > 1e-4
  assert layers.Layer.__call__ is call
  assert not tf.config.functions_run_eagerly()
  assert np.random.uniform() == expected
  got = tf.random.uniform([3])
  tf.random.set_seed(5)
  np.testing.assert_array_equal(got, tf.random.uniform([3]))
  tf.random.Generator.from_non_deterministic_state()  # Determinism forbids it.


class Values:
  """Forces chosen outputs and upstream gradients."""

  def __init__(self, outputs=None, upstream=None):
    self.outputs, self.gradients = outputs or {}, upstream or {}

  def output(self, tap):
    return self.outputs.get(tap)

  def upstream(self, tap):
    return self.gradients.get(tap)


def test_forced_outputs_are_recorded_then_replaced_and_pass_gradients_on(tmp_path, block):
  free, _ = record(tmp_path, side_of(block, block_losses))
  outputs = {"body/conv": RNG.normal(size=[2, 4, 4, 4]), "twice": RNG.normal(size=[2, 4, 4, 4])}
  side = side_of(block, block_losses)
  forced, proofs = record(
    tmp_path, side, name="f", phases=["eval", "train"], forcing=Values(outputs)
  )
  assert proofs == []
  for phase in ("eval", "train"):
    # The forced layers' own outputs: the first is untouched, the second has the forced input.
    got = read(forced, phase, "output", "body/conv")
    np.testing.assert_array_equal(got, read(free, phase, "output", "body/conv"))
    got = read(forced, phase, "output", "twice")
    want = np.einsum(
      "bhwc,co->bhwo", read(forced, phase, "output", "body"), block.twice.kernel[0, 0]
    )
    np.testing.assert_allclose(got, want + block.twice.bias, atol=1e-12)
  norm = read(forced, "train", "output", "body/norm")
  x = outputs["body/conv"]
  want = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-3)
  np.testing.assert_allclose(norm, want, atol=1e-12)
  # The gradient at the forced sum is that of the forced values, and reaches the first kernel.
  y = outputs["twice"] + 0.5 * read(forced, "train", "output", "body")
  kernel = block.twice.kernel.numpy()[0, 0] @ block.rest[0].kernel.numpy()[0, 0]
  bias = block.twice.bias.numpy() @ block.rest[0].kernel.numpy()[0, 0]
  want = 2 * (y @ kernel + bias) @ kernel.T
  np.testing.assert_allclose(read(forced, "train", "upstream", "twice"), want, atol=1e-9)
  assert np.abs(read(forced, "train", "gradient", "body/conv/kernel")).max() > 1e-3
  mean = read(forced, "train", "buffer", "body/norm/moving_mean")
  np.testing.assert_allclose(mean, 0.01 * x.mean((0, 1, 2)), atol=1e-12)


def test_forced_outputs_reach_losses_and_their_gradients(tmp_path, block):
  high = RNG.normal(size=[2, 4, 4, 4])
  forcing = Values({"(model):high.0": high})
  recording, _ = record(tmp_path, side_of(block, block_losses), phases=["train"], forcing=forcing)
  np.testing.assert_allclose(read(recording, "train", "loss", "high"), (high**2).sum())
  got = read(recording, "train", "term_gradient", "high|(model):high.0")
  np.testing.assert_allclose(got, 2 * high)
  np.testing.assert_allclose(read(recording, "train", "upstream", "frozen"), 2 * high)


def test_forced_gradients_are_recorded_then_replaced(tmp_path, block):
  free, _ = record(tmp_path, side_of(block, block_losses))
  given = RNG.normal(size=[2, 4, 4, 4])
  forcing = Values(upstream={"twice#1": given})
  forced, _ = record(
    tmp_path, side_of(block, block_losses), name="f", phases=["train"], forcing=forcing
  )
  for name in ("frozen", "twice#1"):
    got = read(forced, "train", "upstream", name)
    np.testing.assert_array_equal(got, read(free, "train", "upstream", name))
  got = read(forced, "train", "upstream", "twice")
  np.testing.assert_allclose(got, given @ block.twice.kernel.numpy()[0, 0].T, atol=1e-12)


def test_values_of_another_shape_are_not_forced(tmp_path, block):
  side = side_of(block, block_losses)
  free, _ = record(tmp_path, side)
  forcing = Values({"twice": np.zeros([1])}, {"twice": np.zeros([4])})
  forced, _ = record(tmp_path, side, name="f", phases=["train"], forcing=forcing)
  for key in forced:
    np.testing.assert_array_equal(forced.read(key), free.read(key))


def test_a_captured_call_has_the_forced_inputs_and_can_be_made_again(block):
  recorder = KerasRecorder(side_of(block, block_losses))
  x = RNG.normal(size=[2, 4, 4, 4])
  forcing = Values({"body/conv": x, "body/norm": np.zeros([2, 4, 4, 4])})
  before = block.body.get_layer("norm").moving_mean.numpy()
  call = recorder.capture({"x": X}, "train", "body/norm", forcing)
  assert call.layer is block.body.get_layer("norm")
  np.testing.assert_array_equal(call.args[0], x)
  assert call.training
  want = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-3)
  np.testing.assert_allclose(call.outputs[""], want, atol=1e-12)
  np.testing.assert_array_equal(block.body.get_layer("norm").moving_mean, before)
  np.testing.assert_array_equal(call.replay(), call.outputs[""])
  assert not recorder.capture({"x": X}, "eval", "body/norm").training
  second = recorder.capture({"x": X}, "eval", "twice#1")
  np.testing.assert_array_equal(second.replay(), second.outputs[""])
  outer = recorder.capture({"x": X}, "train", "(model)")
  assert set(outer.outputs) == {"low", "high.0"}
  np.testing.assert_array_equal(outer.replay()["high"][0], outer.outputs["high.0"])
  with pytest.raises(KeyError, match="no call 'twice#2' in eval"):
    recorder.capture({"x": X}, "eval", "twice#2")


class Quiet(layers.Layer):
  """Takes no `training`; its sublayer does, and finds the mode in the call around both."""

  def __init__(self, **kwargs):
    super().__init__(**kwargs)
    self.norm = layers.BatchNormalization(name="norm", dtype="float64")

  def call(self, x):
    return self.norm(x)


def test_the_mode_of_a_captured_call_is_the_one_around_it():
  network = tf_keras.Sequential([Quiet(name="quiet", dtype="float64")])
  network(X)
  recorder = KerasRecorder(side_of(network))
  for phase in ("train", "eval"):
    call = recorder.capture({"x": X}, phase, "quiet")
    assert call.training is (phase == "train")
    np.testing.assert_array_equal(call.replay(), call.outputs[""])


def test_parameters_buffers_and_loading(block):
  recorder = KerasRecorder(side_of(block))
  parameters, buffers = recorder.parameters(), recorder.buffers()
  assert set(parameters) == {
    "body/conv/kernel",
    "body/conv/bias",
    "body/norm/gamma",
    "body/norm/beta",
    "twice/kernel",
    "twice/bias",
    "frozen/kernel",
    "spare/kernel",
    "spare/bias",
    "scale",
  }
  assert set(buffers) == {"body/norm/moving_mean", "body/norm/moving_variance"}
  parameters["twice/kernel"] += 1
  assert not np.allclose(block.twice.kernel, parameters["twice/kernel"])  # They are copies.
  recorder.load(parameters, buffers)
  np.testing.assert_array_equal(block.twice.kernel, parameters["twice/kernel"])
  with pytest.raises(KeyError, match="scale"):
    recorder.load({k: v for k, v in parameters.items() if k != "scale"}, buffers)
  with pytest.raises(ValueError, match="shape"):
    recorder.load(parameters | {"twice/bias": np.zeros(1)}, buffers)


class Twins(layers.Layer):
  """Parts of one name: told by their attributes."""

  def __init__(self):
    super().__init__(name="twins", dtype="float64")
    self.left = layers.Dense(1, name="dense", dtype="float64")
    self.many = [layers.Dense(1, name="dense", dtype="float64") for _ in range(2)]
    self.a, self.b = tf.Variable(1.0, name="v"), tf.Variable(2.0, name="v")

  def call(self, x):
    return self.left(x) + self.many[0](x) + self.many[1](x)


def test_parts_of_one_name_are_told_by_their_attributes():
  network = Twins()
  network(X)
  names = KerasRecorder(side_of(network)).parameters()
  paths = ("left", "many.0", "many.1")
  assert set(names) == {"a", "b"} | {f"{p}/{v}" for p in paths for v in ("kernel", "bias")}
  assert names["b"] == 2
  network._hidden = layers.Dense(1, name="dense")
  network._hidden.build([1, 1])
  with pytest.raises(UserError, match="two parts of layer 'Twins' are named 'dense'"):
    KerasRecorder(side_of(network)).parameters()


def test_automatic_names_do_not_depend_on_what_was_made_before():
  def build():
    return tf_keras.Sequential([layers.Dense(1), layers.Dense(1)])

  _ = build(), build()
  for _ in range(2):
    with counting_anew():
      assert [layer.name for layer in build().layers] == ["dense", "dense_1"]
  names = {layer.name for layer in build().layers + build().layers}
  assert len(names) == 4
  assert not names & {"dense", "dense_1"}


def test_masks_go_with_the_outputs(tmp_path):
  network = tf_keras.Sequential(
    [
      layers.Embedding(5, 4, mask_zero=True, name="embedding", dtype="float64"),
      layers.LSTM(3, name="lstm", dtype="float64"),
    ]
  )
  tokens = np.array([[1, 2, 0, 0], [3, 4, 1, 2]])
  network(tokens)
  recording, proofs = record(tmp_path, side_of(network), tokens)
  assert all(proof.holds for proof in proofs)
  got = read(recording, "eval", "output", "(model)")
  np.testing.assert_allclose(got[:1], network(tokens[:1, :2]), rtol=1e-12)
  # The gradient of a lookup is sparse where nobody looks on.
  assert read(recording, "train", "gradient", "embedding/embeddings").shape == (5, 4)


def test_errors_of_the_writer_are_not_reworded(tmp_path, block):
  class Full(RecordingWriter):
    def write(self, key, array):
      if key.name == "body/norm":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
      super().write(key, array)

  with (
    pytest.raises(UserError, match=r"cannot write .*: No space left on device$"),
    Full(tmp_path / "r", Header("candidate", "tensorflow", {}, "float64", 0)) as writer,
  ):
    KerasRecorder(side_of(block)).record({"x": X}, writer)


class Compiled(layers.Layer):
  """Its call is a compiled function with a loop of its own."""

  def __init__(self):
    super().__init__(name="compiled", dtype="float64")
    self.dense = layers.Dense(3, name="dense", dtype="float64")

  @tf.function
  def call(self, x):
    for _ in tf.range(2):
      x = self.dense(x)
    return x


def test_layers_inside_compiled_functions_are_seen(tmp_path):
  network = Compiled()
  network(X)
  recording, proofs = record(tmp_path, side_of(network))
  assert recording.names("train", "upstream") == ["(model)", "dense#1", "dense"]
  assert all(proof.holds for proof in proofs)
  kernel, bias = network.dense.kernel.numpy(), network.dense.bias.numpy()
  got = read(recording, "eval", "output", "dense#1")
  np.testing.assert_allclose(got, (X @ kernel + bias) @ kernel + bias, atol=1e-12)


def test_mixed_precision(tmp_path):
  network = tf_keras.Sequential(
    [
      layers.Conv2D(4, 3, name="conv", dtype="mixed_bfloat16"),
      layers.BatchNormalization(name="norm", dtype="mixed_bfloat16"),
      layers.Dense(2, name="dense", dtype="float32"),
    ]
  )
  x = X.astype(np.float32)
  network(x)
  recording, proofs = record(tmp_path, side_of(network), x)
  assert all(proof.holds for proof in proofs)
  assert str(read(recording, "train", "output", "conv").dtype) == "bfloat16"
  assert str(read(recording, "train", "upstream", "norm").dtype) == "bfloat16"
  assert read(recording, "train", "gradient", "conv/kernel").dtype == np.float32
  assert set(recording.names("train", "gradient")) == set(recording.names("init", "parameter"))


class Noisy(layers.Layer):
  """Draws from what no seed reaches."""

  def __init__(self):
    super().__init__(dtype="float64")
    self.dense, self.calls = layers.Dense(3, name="dense", dtype="float64"), 0

  def call(self, x):
    self.calls += 1
    return self.dense(x) * (1 + 1e-12 * self.calls)


def test_what_is_not_deterministic_is_found(tmp_path):
  network = Noisy()
  network(X)
  _, proofs = record(tmp_path, side_of(network))
  for proof in proofs:
    assert not proof.deterministic
    assert "not deterministic" in proof.sentence


class Watchful(layers.Layer):
  """Computes otherwise where it is watched, as fused kernels do."""

  def __init__(self, place):
    super().__init__(dtype="float64")
    self.dense, self.place = layers.Dense(3, name="dense", dtype="float64"), place

  def call(self, x):
    y = self.dense(x)
    if layers.Layer.__call__ is not ORIGINAL:
      return _altered(y, self.place)
    return y


ORIGINAL = layers.Layer.__call__


def _altered(y, place):
  @tf.custom_gradient
  def change(y):
    return y * (1 + 1e-15 * (place == "output")), lambda g: g * (1 + 1e-11 * (place == "gradient"))

  return change(y)


@pytest.mark.parametrize(("place", "first"), [("output", "result"), ("gradient", "gradient")])
def test_taps_that_change_the_result_are_found(tmp_path, place, first):
  network = Watchful(place)
  network(X)
  _, proofs = record(tmp_path, side_of(network))
  train = proofs[1]
  assert train.deterministic
  assert not train.harmless
  assert f"taps change {first}" in train.sentence


def test_dropout_is_the_same_in_every_pass(tmp_path):
  network = tf_keras.Sequential([layers.Dense(50, dtype="float64"), layers.Dropout(0.5, name="d")])
  network(X)
  recording, proofs = record(tmp_path, side_of(network))
  assert all(proof.holds for proof in proofs)
  dropped = read(recording, "train", "output", "d") == 0
  assert 0.3 < dropped.mean() < 0.7


class Unlisted(layers.Layer):
  def __init__(self):
    super().__init__(name="unlisted", dtype="float64")
    self.dense = layers.Dense(3, name="dense", dtype="float64")

  def call(self, x):
    ragged = tf.RaggedTensor.from_tensor(x)
    return self.dense(x), ragged, tf.complex(x, x), tf.shape(x)


def test_what_cannot_be_recorded_is_listed(tmp_path):
  network = Unlisted()
  network(X)
  side = side_of(network, lambda o, b: {"total": tf.reduce_sum(o[0])})
  recording, _ = record(tmp_path, side)
  assert recording.names("eval", "output") == ["dense", "(model):0", "(model):3"]
  absent = {key.name: why for key, why in recording.absent.items() if key.phase == "eval"}
  assert absent == {
    "(model):1": "recordings do not hold RaggedTensor",
    "(model):2": "recordings do not hold complex128",
  }


def test_the_losses_need_a_total(tmp_path, block):
  side = side_of(block, lambda outputs, batch: {"loss": tf.reduce_sum(outputs["low"])})
  with pytest.raises(UserError, match=r"\(loss\) have no 'total'"):
    record(tmp_path, side)
