"""Files in the original's names, with their values; what is wrong with a file; where runs start."""

import pickle

import numpy as np
import pytest
import safetensors.numpy
import tf_keras
import torch

import projects.registry  # noqa: F401
from official.checkpoints.formats import open_checkpoint
from official.checkpoints.transfer import TransferError
from official.cli.errors import UserError
from official.core import exp_factory, task_factory
from official.parity.recorders.keras_names import buffer_names, parameter_names
from official.serving import foreign
from projects.maskformer.checkpoints.foreign import foreign_files
from projects.maskformer.modeling.factory import build_maskformer

VARIANT = "small_encoder"


def _values(model):
  named = parameter_names(model) | buffer_names(model)
  return {name: variable.numpy() for name, variable in named.items()}


def _build(task, seed):
  """A network of which no two numbers are alike."""
  tf_keras.utils.set_random_seed(seed)
  model = build_maskformer(task.model)
  rng = np.random.default_rng(seed)
  for variable in model.variables:
    variable.assign(variable + rng.uniform(0.01, 0.1, variable.shape).astype(np.float32))
  return model


@pytest.fixture(scope="module")
def task(make_task):
  return make_task(VARIANT)


@pytest.fixture(scope="module")
def trained(task):
  return _build(task, 1)


@pytest.fixture(scope="module")
def other(task):
  """Filled by each test anew."""
  return _build(task, 2)


@pytest.fixture(scope="module")
def arrays(trained, task, tmp_path_factory):
  """By the names of the original's files."""
  path = tmp_path_factory.mktemp("exported") / "a.safetensors"
  foreign.save(trained, path, foreign_files(task), "facebookresearch")
  return safetensors.numpy.load_file(path)


def test_queries_keys_and_values_are_stacked_as_pytorch_has_them(trained, arrays):
  layer = "sem_seg_head.predictor.transformer.decoder.layers.1.self_attn"
  attention = trained.decoder.layers[1].self_attention
  twin = torch.nn.MultiheadAttention(64, 4)
  state = {name: torch.from_numpy(arrays[f"{layer}.{name}"]) for name in twin.state_dict()}
  twin.load_state_dict(state, strict=True)
  rng = np.random.default_rng(0)
  x, memory, positions = rng.standard_normal((3, 1, 7, 64)).astype(np.float32)
  given = [torch.from_numpy(each.transpose(1, 0, 2)) for each in (x, memory + positions, memory)]
  with torch.no_grad():
    expected = twin(*given)[0].numpy().transpose(1, 0, 2)
  found = attention(x, memory, memory_positions=positions)
  np.testing.assert_allclose(found, expected, atol=1e-5)


def _newer(arrays):
  """As heads of version 2 save themselves."""
  start, predictor = "sem_seg_head.", "sem_seg_head.predictor."
  return {
    name
    if name.startswith(predictor) or not name.startswith(start)
    else name.replace(start, "sem_seg_head.pixel_decoder."): array
    for name, array in arrays.items()
  }


def _write(path, kind, arrays):
  tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
  if kind == "pickle":
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "Detectron2 Model Zoo"}))
  elif kind == "training":
    torch.save({"model": tensors, "optimizer": {"state": {0: torch.ones(3)}}, "iteration": 7}, path)
  else:
    torch.save(tensors, path, _use_new_zipfile_serialization=kind != "legacy")


@pytest.mark.parametrize("kind", ["pickle", "training", "state", "legacy"])
@pytest.mark.parametrize("newer", [False, True])
def test_every_kind_of_file_fills_every_variable(
  trained, other, task, arrays, tmp_path, kind, newer
):
  path = tmp_path / "a"
  _write(path, kind, _newer(arrays) if newer else arrays)
  other.heads.classes.bias.assign(other.heads.classes.bias + 1)
  foreign.load(other, str(path), foreign_files(task))
  expected = _values(trained)
  for name, value in _values(other).items():
    np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.mark.parametrize("end", [".pkl", ".safetensors"])
def test_round_trip_is_bit_exact(other, task, arrays, tmp_path, end):
  first, second = tmp_path / "a.pth", tmp_path / f"b{end}"
  _write(first, "state", arrays)
  foreign.load(other, str(first), foreign_files(task))
  assert foreign.save(other, second, foreign_files(task), "facebookresearch") == len(arrays)
  checkpoint = open_checkpoint(second)
  found = checkpoint.below("model") if end == ".pkl" else checkpoint.arrays
  assert sorted(found) == sorted(arrays)
  for name, array in arrays.items():
    assert found[name].read().tobytes() == array.tobytes(), name


def test_other_precisions(other, task, trained, arrays, tmp_path):
  path = tmp_path / "a.pth"
  _write(path, "state", {name: array.astype(np.float16) for name, array in arrays.items()})
  foreign.load(other, str(path), foreign_files(task))
  expected = _values(trained)["heads/classes/kernel"]
  np.testing.assert_array_equal(_values(other)["heads/classes/kernel"], np.float16(expected))


@pytest.fixture(scope="module")
def stranger(make_task):
  """Another network, and its task."""
  task = make_task("small_resnet", classes=9)
  return task, build_maskformer(task.model)


def _without(name):
  return lambda arrays: {each: array for each, array in arrays.items() if each != name}


def _with(name, array):
  return lambda arrays: arrays | {name: array}


MASK = "sem_seg_head.mask_features.weight"
CLASSES = "sem_seg_head.predictor.class_embed.bias"


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (_without(MASK), "1 problem.*unfilled: no rule fills 'pixel_decoder/embedding/kernel'"),
    (_without("backbone.res3.1.conv2.norm.running_var"), "1 problem.*conv/norm/moving_variance'"),
    (_with("sem_seg_head.more", np.ones(3, np.float32)), "1 problem.*unused: 'sem_seg_head.more'"),
    (_with("backbone.res3.2.conv1.weight", np.ones(3)), "1 problem.*unknown: .*'backbone.res3.2"),
    (_with(MASK, np.ones((64, 64, 3), np.float32)), "1 problem.*misfit: .*mask_features.weight'"),
    (_with(CLASSES, np.ones(7, np.float32)), r"num_classes=5: 1 problem|1 problem.*misfit"),
    (_with(CLASSES, np.ones(6, np.int32)), "class_embed.bias'.* is of type int32: weights are"),
    (lambda arrays: {"stem": np.ones(1)}, r"none of this network's names \(facebookresearch, Im"),
  ],
)
def test_whatever_does_not_fit_is_said_and_nothing_changed(
  other, task, arrays, tmp_path, change, message
):
  path = tmp_path / "a.pth"
  _write(path, "state", change(arrays))
  before = _values(other)
  with pytest.raises(UserError, match=message) as caught:
    foreign.load(other, str(path), foreign_files(task))
  assert str(path) in str(caught.value)
  assert "\n" not in str(caught.value)
  for name, value in _values(other).items():
    np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize(
  ("names", "message"),
  [
    (
      "facebookresearch",
      r"it is of task\.model\.variant=small_resnet and .*num_classes=9: \d+ pro",
    ),
    (
      "transformers",
      r"none of .*; it is of task\.model\.variant=small_resnet and .*num_classes=9$",
    ),
  ],
)
def test_a_file_of_another_network_says_which(other, task, stranger, tmp_path, names, message):
  path = tmp_path / "a.safetensors"
  fitting, model = stranger
  foreign.save(model, path, foreign_files(fitting), names)
  with pytest.raises(UserError, match=message):
    foreign.load(other, str(path), foreign_files(task))


@pytest.mark.parametrize("kind", ["pickle", "state", "legacy"])
def test_a_file_that_was_cut_short(other, task, arrays, tmp_path, kind):
  path = tmp_path / "a"
  _write(path, kind, arrays)
  content = path.read_bytes()
  path.write_bytes(content[: len(content) // 2])
  with pytest.raises(UserError, match=r"cannot read .*copy or download it again"):
    foreign.load(other, str(path), foreign_files(task))


def test_problems_are_listed(other, task, arrays, tmp_path):
  path = tmp_path / "a.pth"
  _write(path, "state", _with("more", np.ones(1))(_without(MASK)(arrays)))
  with pytest.raises(TransferError, match="2 problems") as caught:
    foreign.load(other, str(path), foreign_files(task))
  assert [problem.split(":")[0] for problem in caught.value.problems] == ["unused", "unfilled"]


class TestTask:
  """`task.init_checkpoint` and `task.init_checkpoint_modules`."""

  @staticmethod
  def make(path, modules, **model):
    params = exp_factory.get_exp_config("maskformer_tiny_shapes").task
    start = {"init_checkpoint": str(path), "init_checkpoint_modules": modules}
    params.override({"model": {"num_classes": 5, **model}, **start})
    return task_factory.get_task(params)

  @staticmethod
  def changed(task, model):
    """First words of the paths of variables that `initialize` changes."""
    before = _values(model)
    task.initialize(model)
    after = _values(model).items()
    return {name for name, value in after if not np.array_equal(value, before[name])}

  def test_all(self, trained, arrays, other, tmp_path):
    _write(tmp_path / "a.pkl", "pickle", arrays)
    for variable in other.variables:
      variable.assign(variable + 1)
    self.make(tmp_path / "a.pkl", [], variant=VARIANT).initialize(other)
    expected = _values(trained)
    for name, value in _values(other).items():
      np.testing.assert_array_equal(value, expected[name])

  def test_a_part(self, arrays, other, tmp_path):
    _write(tmp_path / "a.pkl", "pickle", arrays | {CLASSES: np.ones(134, np.float32)})
    for variable in other.variables:
      variable.assign(variable + 1)
    task = self.make(tmp_path / "a.pkl", ["backbone"], variant=VARIANT)
    expected = {name for name in _values(other) if name.startswith("backbone/")}
    assert self.changed(task, other) == expected

  def test_torchvisions_backbone(self, arrays, trained, other, tmp_path):
    state = _torchvision(arrays)
    state |= {"fc.weight": np.ones((3, 512), np.float32), "fc.bias": np.ones(3, np.float32)}
    state["bn1.num_batches_tracked"] = np.array(9)
    _write(tmp_path / "a.pth", "state", state)
    for variable in other.variables:
      variable.assign(variable + 1)
    task = self.make(tmp_path / "a.pth", ["backbone"], variant=VARIANT)
    self.changed(task, other)
    expected = _values(trained)
    for name, value in _values(other).items():
      assert np.array_equal(value, expected[name]) == name.startswith("backbone/"), name
    with pytest.raises(UserError, match=r"holds a backbone alone: .*modules=\[backbone\]"):
      self.make(tmp_path / "a.pth", [], variant=VARIANT).initialize(other)
    with pytest.raises(UserError, match=r"holds a backbone alone"):
      self.make(tmp_path / "a.pth", ["backbone", "heads"], variant=VARIANT).initialize(other)

  def test_swins_backbone(self, make_task, tmp_path):
    """Tensors that were pickled one by one, as the original's tools leave them."""
    source = make_task("small_swin")
    swin = _build(source, 3)
    foreign.save(swin, tmp_path / "a.safetensors", foreign_files(source), "facebookresearch")
    exported = safetensors.numpy.load_file(tmp_path / "a.safetensors")
    state = {
      name.removeprefix("backbone."): torch.from_numpy(array)
      for name, array in exported.items()
      if name.startswith("backbone.") and not name.startswith("backbone.norm")
    }
    state |= {"norm.weight": torch.ones(256), "norm.bias": torch.ones(256)}
    state |= {"head.weight": torch.ones(9, 256), "head.bias": torch.ones(9)}
    state["layers.0.blocks.1.attn_mask"] = torch.zeros(64, 49, 49)
    (tmp_path / "swin.pkl").write_bytes(
      pickle.dumps({"model": state, "__author__": "third_party", "matching_heuristics": True})
    )
    expected = _values(swin)
    for variable in swin.variables:
      variable.assign(variable + 1)
    task = self.make(tmp_path / "swin.pkl", ["backbone"], variant="small_swin")
    changed = self.changed(task, swin)
    norms = {f"backbone/norm{s}/{name}" for s in range(4) for name in ("gamma", "beta")}
    assert changed == {name for name in expected if name.startswith("backbone/")} - norms
    found = _values(swin)
    for name in changed:
      np.testing.assert_array_equal(found[name], expected[name])


def _torchvision(arrays):
  """The backbone as torchvision names it."""
  found = {}
  for name, array in arrays.items():
    if not name.startswith("backbone."):
      continue
    name = name.removeprefix("backbone.").removeprefix("stem.")
    for stage in range(1, 5):
      name = name.replace(f"res{stage + 1}.", f"layer{stage}.")
    for index in range(1, 4):
      name = name.replace(f"conv{index}.norm", f"bn{index}")
    name = name.replace("shortcut.norm", "downsample.1").replace("shortcut", "downsample.0")
    found[name] = array
  return found
