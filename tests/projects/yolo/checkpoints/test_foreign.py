"""Darknet's files, against the Darknet in PyTorch, which writes and reads them itself."""

import numpy as np
import pytest
import tensorflow as tf
import torch

import projects.registry  # noqa: F401
from official.cli.errors import UserError
from official.core import exp_factory, task_factory
from official.serving import foreign
from projects.yolo.checkpoints.foreign import foreign_files
from projects.yolo.reference.darknet import CFG, Darknet, load_weights, save_weights


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
  """YOLOv4-tiny with numbers that hide nothing, and its file."""
  torch.manual_seed(0)
  network = Darknet(CFG / "yolov4-tiny.cfg").eval()
  with torch.no_grad():
    for name, tensor in network.state_dict().items():
      if tensor.is_floating_point():
        noise = 0.1 * torch.randn(tensor.shape)
        tensor.add_(noise.abs() if name.endswith("running_var") else noise / 3)
  path = tmp_path_factory.mktemp("darknet") / "yolov4-tiny.weights"
  save_weights(network, path)
  return network, path


@pytest.fixture(scope="module")
def task(theirs):
  params = exp_factory.get_exp_config("yolo_v4_tiny_coco").task
  params.override({"init_checkpoint": str(theirs[1]), "model": {"input_size": 64}})
  return task_factory.get_task(params)


@pytest.fixture(scope="module")
def ours(task):
  model = task.build_model()
  task.initialize(model)
  return model


def test_raw_outputs_are_equal(theirs, ours):
  images = np.random.default_rng(0).random((1, 64, 64, 3)).astype(np.float32)
  with torch.no_grad():
    expected = theirs[0](torch.from_numpy(images.transpose(0, 3, 1, 2)))
  found = ours(tf.constant(images), training=False)["raw"]
  assert sorted(found) == sorted(expected) == ["4", "5"]
  for level, tensor in expected.items():
    logits = tensor.numpy().transpose(0, 2, 3, 1, 4)
    assert logits.std() > 0.02
    np.testing.assert_allclose(found[level], logits, atol=2e-5 * np.abs(logits).max())


def test_what_is_written_is_the_same_file(theirs, task, ours, tmp_path):
  path = tmp_path / "new" / "a.weights"
  foreign.save(ours, path, foreign_files(task.task_config), "darknet")
  assert path.read_bytes() == theirs[1].read_bytes()
  again = Darknet(CFG / "yolov4-tiny.cfg")
  load_weights(again, path)
  for name, tensor in theirs[0].state_dict().items():
    assert torch.equal(again.state_dict()[name], tensor), name


@pytest.mark.parametrize(("change", "message"), [(-4, "is too short"), (4, "is too long")])
def test_files_of_another_length(theirs, task, ours, tmp_path, change, message):
  path = tmp_path / "a.weights"
  content = theirs[1].read_bytes()
  path.write_bytes(content[:change] if change < 0 else content + bytes(change))
  with pytest.raises(UserError, match=message):
    foreign.load(ours, str(path), foreign_files(task.task_config))


def test_other_names_and_formats(task, ours, tmp_path):
  files = foreign_files(task.task_config)
  with pytest.raises(UserError, match=r"no names 'torch' .*known: darknet"):
    foreign.save(ours, tmp_path / "a.weights", files, "torch")
  with pytest.raises(UserError, match=r"end in \.weights"):
    foreign.save(ours, tmp_path / "a.pkl", files, "darknet")
  assert list(tmp_path.iterdir()) == []
