"""Imported networks against Darknet's own outputs and against the PyTorch reference."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import torch

from official.cli.errors import UserError
from projects.yolo.modeling.darknet.activations import DARKNETS_OWN
from projects.yolo.modeling.darknet.model import DarknetYolo, export_darknet, import_darknet
from projects.yolo.modeling.darknet.network import read_network
from projects.yolo.reference.darknet import Darknet, save_weights
from tests.projects.yolo.reference import recipe

# Every kind of layer and option that can be imported, in two networks.
BEDS = "".join(
  f"[route]\nlayers=0\n[convolutional]\nbatch_normalize=1\nfilters=4\nactivation={name}\n"
  for name in DARKNETS_OWN
)
ZOO = """\
[net]
width=32
height=64
channels=3
[convolutional]
batch_normalize=1
filters=8
size=5
stride=2
pad=1
activation=mish
[convolutional]
batch_normalize=1
filters=8
groups=8
size=3
pad=1
activation=swish
[convolutional]
batch_normalize=1
filters=12
groups=4
size=3
pad=1
activation=relu6
[convolutional]
filters=8
activation=relu
[dropout]
probability=.5
[shortcut]
from=0,1
activation=leaky
[shortcut]
from=-3
[maxpool]
size=3
stride=2
[maxpool]
size=5
stride=1
[route]
layers=-1,-2
groups=2
group_id=1
[route]
layers=-2
groups=4
group_id=3
[convolutional]
batch_normalize=1
filters=6
size=3
stride=2
pad=1
activation=logistic
[upsample]
stride=2
[route]
layers=-1,-4
[route]
layers=-1
[convolutional]
filters=21
activation=linear
[yolo]
mask=2,0,1
anchors=4,5, 7,8, 12,9
classes=2
scale_x_y=1.2
[route]
layers=-3
[maxpool]
size=2
stride=2
[convolutional]
filters=7
activation=logistic
[yolo]
mask=1
anchors=4,5, 7,8
classes=2
scale_x_y=2
new_coords=1
nms_kind=greedynms
"""

# Squeeze and excitation, spatial attention, both directions of [reorg], and each activation that
# no network above has, side by side.
GARDEN = f"""\
[net]
width=32
height=16
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=linear
[avgpool]
[convolutional]
filters=4
activation=relu
[convolutional]
filters=8
activation=logistic
[scale_channels]
from=0
activation=leaky
[convolutional]
filters=1
activation=tanh
[scale_channels]
from=4
scale_wh=1
[convolutional]
filters=8
activation=logistic
[sam]
from=-2
activation=elu
[shortcut]
from=0
activation=selu
[reorg]
stride=2
[reorg]
stride=2
reverse=1
[route]
layers=0
[reorg]
stride=2
reverse=1
[maxpool]
size=2
stride=2
{BEDS}[route]
layers=-1,{",".join(str(16 + 2 * n) for n in range(len(DARKNETS_OWN)))},11,0,14
[convolutional]
filters=7
activation=linear
[yolo]
mask=0
anchors=4,5
classes=2
"""
NETWORKS = {"zoo": ZOO, "garden": GARDEN}


def darknets_view(model, network):
  """A model that gives what Darknet has as the output of each layer, [yolo] layers left out."""
  tensors = {}
  for index, section in enumerate(network.sections):
    if section.kind != "yolo":
      names = {layer.name for layer in model.network.layers}
      # In front of new_coords, the logistic activation is part of decoding.
      whole = f"layer{index}" in names
      output = model.network.get_layer(f"layer{index}" if whole else f"layer{index}/conv").output
      tensors[index] = output if whole else tf.sigmoid(output)
  return tf_keras.Model(model.network.input, tensors)


def as_tf(array):
  return tf.constant(array.transpose(1, 2, 0)[None])


def check(model, network, samples):
  array = recipe.image(network)
  outputs = darknets_view(model, network)(as_tf(array))
  assert len(outputs) == len(network.sections) - len(network.heads)
  for index, output in outputs.items():
    got = output[0].numpy().transpose(2, 0, 1)
    error = np.abs(recipe.sample(got) - samples[index]).max() / np.abs(got).max()
    assert error < 2e-5, f"layer {index}"


@pytest.mark.parametrize("name", ["yolov3-tiny", "yolov4-tiny"])
def test_random_networks_compute_what_darknet_does(name, independent, tmp_path):
  network = recipe.random_network(name, tmp_path)
  save_weights(network, tmp_path / "a.weights")
  _, model = import_darknet(tmp_path / f"{name}.cfg", tmp_path / "a.weights")
  check(model, network, independent[f"{name}/darknet"])


@pytest.mark.parametrize("name", recipe.REAL)
def test_real_networks_compute_what_darknet_does(name, independent, darknet_data):
  paths = (darknet_data / f"{name}.{kind}" for kind in ("cfg", "weights"))
  _, model = import_darknet(*paths)
  network = recipe.real_network(name, darknet_data)
  check(model, network, independent[f"{name}/darknet"])


def grow(name, folder):
  """The folder of one of `NETWORKS`, and the network in PyTorch, in float64."""
  (folder / f"{name}.cfg").write_text(NETWORKS[name])
  torch.manual_seed(0)
  network = Darknet(folder / f"{name}.cfg")
  for norm in (m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)):
    for tensor in (norm.weight, norm.running_var):
      tensor.data.uniform_(0.5, 1.5)
    for tensor in (norm.bias, norm.running_mean):
      tensor.data.normal_(0, 0.3)
  save_weights(network, folder / f"{name}.weights")
  return folder, network.double()


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
  """Folder and network, see `grow`."""
  return grow("zoo", tmp_path_factory.mktemp("zoo"))


@pytest.fixture
def float64():
  """Layers compute in float64."""
  tf_keras.mixed_precision.set_global_policy("float64")
  yield
  tf_keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("name", "levels"), [("zoo", {"2", "3"}), ("garden", {"1"})])
def test_every_kind_of_layer_in_both_modes(name, levels, tmp_path, float64, training):
  folder, network = grow(name, tmp_path)
  _, model = import_darknet(folder / f"{name}.cfg", folder / f"{name}.weights")
  array = np.random.default_rng(3).random([2, 3, *network.input_size])
  network.train(training)
  pixels = torch.from_numpy(array).requires_grad_()
  want = network(pixels)
  sum(tensor.square().sum() for tensor in want.values()).backward()
  image = tf.constant(array.transpose(0, 2, 3, 1))
  with tf.GradientTape() as tape:
    tape.watch(image)
    got = model(image, training=training)["raw"]
    total = tf.add_n([tf.reduce_sum(tensor**2) for tensor in got.values()])
  assert got.keys() == want.keys() == levels
  for level, tensor in want.items():
    wanted = tensor.detach().permute(0, 2, 3, 1, 4)
    np.testing.assert_allclose(got[level], wanted, rtol=1e-9, atol=1e-12)
  gradient = pixels.grad.permute(0, 2, 3, 1).numpy()
  largest = np.abs(gradient).max()
  np.testing.assert_allclose(tape.gradient(total, image), gradient, atol=1e-9 * largest)
  own = model.arrays()
  parts = {"running_mean": "mean", "running_var": "variance"}
  for key, tensor in network.state_dict().items():
    _, index, _, part = key.split(".")
    if part in parts:
      np.testing.assert_allclose(own[f"{index}.{parts[part]}"], tensor, rtol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_exported_is_the_same_file(name, tmp_path):
  folder, _ = grow(name, tmp_path)
  paths = folder / f"{name}.cfg", folder / f"{name}.weights"
  numbers = paths[1].read_bytes()[20:]
  for start in (np.array([0, 2, 5], "<i4"), np.array([0, 1, 0], "<i4")):
    seen = np.array(12345, "<i8" if start[1] == 2 else "<i4")
    paths[1].write_bytes(start.tobytes() + seen.tobytes() + numbers)
    network, model = import_darknet(*paths)
    export_darknet(folder / "new" / "a.weights", network, model, like=paths[1])
    assert (folder / "new" / "a.weights").read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("name", recipe.REAL[:1])
def test_real_networks_are_exported_bit_by_bit(name, darknet_data, tmp_path):
  paths = [darknet_data / f"{name}.{kind}" for kind in ("cfg", "weights")]
  network, model = import_darknet(*paths)
  export_darknet(tmp_path / "a.weights", network, model, like=paths[1])
  assert (tmp_path / "a.weights").read_bytes() == paths[1].read_bytes()


def test_boxes_of_each_level_are_decoded_their_own_way(zoo):
  folder, _ = zoo
  model = DarknetYolo(read_network(folder / "zoo.cfg"))
  raw = {"2": tf.zeros([1, 16, 8, 3, 7]), "3": tf.fill([1, 8, 4, 1, 7], 2.0)}
  found = model.detections(raw)
  high = 1 / (1 + np.exp(-2.0))
  np.testing.assert_allclose(found["scores"][0, 0], high**2, rtol=1e-6)
  y0, x0, y1, x1 = found["boxes"][0, 0].numpy()
  np.testing.assert_allclose([x1 - x0, y1 - y0], (2 * high) ** 2 * np.array([7, 8]), rtol=1e-5)
  centres = np.stack([y0 + y1, x0 + x1]) / 16  # In cells of 8 pixels.
  np.testing.assert_allclose(centres % 1, (2 * high - 0.5) % 1, rtol=1e-5)
  low = np.argmax(found["scores"][0] < 0.3)
  y0, x0, y1, x1 = found["boxes"][0, low].numpy()
  assert (x1 - x0, y1 - y0) in [(12, 9), (4, 5), (7, 8)]


def test_training_leaves_detections_out(zoo):
  folder, _ = zoo
  model = DarknetYolo(read_network(folder / "zoo.cfg"))
  assert model(tf.zeros([1, 64, 32, 3]), training=True).keys() == {"raw"}


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda b: b[:-4], r"too short: 19\.weights needs"),
    (lambda b: b[:400], r"too short: 0\.weights needs 600 numbers"),
    (lambda b: b + b"\0\0\0\0", "too long: 1 numbers are left over"),
    (lambda b: b"PK\x03\x04" + b[4:], "weights"),
    (lambda b: b"", "weights"),
  ],
)
def test_weights_of_another_length(zoo, tmp_path, change, message):
  folder, _ = zoo
  path = tmp_path / "a.weights"
  path.write_bytes(change((folder / "zoo.weights").read_bytes()))
  with pytest.raises(UserError, match=message) as caught:
    import_darknet(folder / "zoo.cfg", path)
  assert "a.weights" in str(caught.value)
  assert "\n" not in str(caught.value)
