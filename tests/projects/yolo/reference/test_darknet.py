"""The PyTorch reference against Darknet and OpenCV, layer by layer."""

import numpy as np
import pytest
import torch

from projects.yolo.reference.darknet import CFG, Darknet, load_weights, save_weights
from tests.projects.yolo.reference import recipe

# Both are float32: their own rounding reaches 7e-6 of a layer's largest value.
TOLERANCE = 2e-5


def check(name, network, independent):
  array = recipe.image(network)
  outputs = recipe.darknets_outputs(network, array)
  _compare(outputs, independent[f"{name}/darknet"])
  for norm in (m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)):
    norm.eps = 1e-6
  _compare(recipe.darknets_outputs(network, array), independent[f"{name}/opencv"])


def _compare(outputs, samples):
  assert len(outputs) == len(samples)
  for index, (output, want) in enumerate(zip(outputs, samples, strict=True)):
    if not np.isnan(want).any():
      error = np.abs(recipe.sample(output) - want).max() / np.abs(output).max()
      assert error < TOLERANCE, f"layer {index}"


@pytest.mark.parametrize("name", recipe.RANDOM)
def test_random_networks(name, independent, tmp_path):
  check(name, recipe.random_network(name, tmp_path), independent)


@pytest.mark.parametrize("name", recipe.REAL)
def test_real_networks(name, independent, darknet_data):
  check(name, recipe.real_network(name, darknet_data), independent)


def test_weights_survive_their_file(tmp_path):
  network = recipe.random_network("yolov4-tiny", tmp_path)
  save_weights(network, tmp_path / "a.weights")
  twin = Darknet(CFG / "yolov4-tiny.cfg")
  load_weights(twin, tmp_path / "a.weights")
  own = network.state_dict()
  for name, tensor in twin.state_dict().items():
    if not name.endswith("num_batches_tracked"):
      torch.testing.assert_close(tensor, own[name], rtol=0, atol=0)


@pytest.mark.parametrize(("change", "message"), [(-4, "too short"), (4, "too long")])
def test_a_file_of_another_length(tmp_path, change, message):
  network = recipe.random_network("yolov3-tiny", tmp_path)
  path = tmp_path / "a.weights"
  save_weights(network, path)
  content = path.read_bytes() + b"\0" * 4
  path.write_bytes(content[: len(content) - 4 + change])
  with pytest.raises(ValueError, match=message):
    load_weights(network, path)
