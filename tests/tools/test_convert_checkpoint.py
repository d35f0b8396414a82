"""`convert_checkpoint` there and back, and what it says."""

import json

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

import projects.registry  # noqa: F401
from official.cli.errors import UserError
from official.core import exp_factory, task_factory
from official.serving import weights
from official.serving.run_folder import RunFolder
from official.training import checks
from tools import convert_checkpoint

EXPERIMENT = "--experiment=maskformer_tiny_shapes"
SETTINGS = "--params_override=task.model.num_classes=7"


def _params():
  params = exp_factory.get_exp_config("maskformer_tiny_shapes")
  params.override({"task": {"model": {"num_classes": 7}}})
  return params


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """A run's folder with its settings, and its model."""
  folder = tmp_path_factory.mktemp("run")
  params = _params()
  model = task_factory.get_task(params.task).build_model()
  for index, variable in enumerate(model.variables):
    noise = np.random.default_rng(index).uniform(0.01, 0.1, variable.shape)
    variable.assign(variable + noise.astype(np.float32))
  tf.train.Checkpoint(model=model).write(str(folder / "ckpt-3"))
  (folder / "params.yaml").write_text(json.dumps({"task": {"model": {"num_classes": 7}}}))
  return folder, model


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
  path = tmp_path_factory.mktemp("exported") / "new" / "model.pkl"
  names = "--names=facebookresearch"
  convert_checkpoint.main(["export", EXPERIMENT, names, str(trained[0]), str(path)])
  return path


def test_import_makes_what_training_leaves(trained, exported, tmp_path, capsys):
  output = tmp_path / "imported"
  convert_checkpoint.main(["import", EXPERIMENT, SETTINGS, str(exported), str(output)])
  said = capsys.readouterr()
  assert said.out == f"{output}: {len(trained[1].variables)} variables of {exported}\n"
  assert "reading: " in said.err
  folder = RunFolder(str(output))
  assert folder.settings()[1]["task"]["model"]["num_classes"] == 7
  assert folder.checkpoint("best") == f"{output}/ckpt-0"
  assert tf.train.latest_checkpoint(str(output)) == f"{output}/ckpt-0"
  model = task_factory.get_task(_params().task).build_model()
  weights.load(model, folder.checkpoint("best"))
  for found, expected in zip(model.variables, trained[1].variables, strict=True):
    np.testing.assert_array_equal(found.numpy(), expected.numpy())
  assert [path.name for path in tmp_path.iterdir()] == ["imported"]


def test_export_says_what_it_wrote(trained, tmp_path, capsys):
  path = tmp_path / "model.safetensors"
  arguments = ["export", EXPERIMENT, "--names=facebookresearch", str(trained[0]), str(path)]
  convert_checkpoint.main(arguments)
  arrays = safetensors.numpy.load_file(path)
  out = capsys.readouterr().out
  assert out == f"{path}: {len(arrays)} arrays of {trained[0]}/ckpt-3, facebookresearch names\n"
  assert sum(a.size for a in arrays.values()) >= trained[1].count_params()


def test_trainings_start_from_files(exported):
  params = exp_factory.get_exp_config("maskformer_tiny_shapes")
  params.task.init_checkpoint = str(exported)
  checks._check_checkpoint(params.task.init_checkpoint)
  with pytest.raises(UserError, match="no checkpoint at"):
    checks._check_checkpoint(str(exported.parent))


def test_problems_are_listed_before_the_error(exported, tmp_path, capsys):
  output = tmp_path / "imported"
  with pytest.raises(
    UserError, match=r"does not fit this network; it is of .*=7: 2 problems"
  ) as caught:
    convert_checkpoint.main(
      [
        "import",
        EXPERIMENT,
        "--params_override=task.model.num_classes=9",
        str(exported),
        str(output),
      ]
    )
  assert "\n" not in str(caught.value)
  listed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("misfit: ")]
  assert ["class_embed" in line for line in listed] == [True, True]
  assert not output.exists()


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["import", EXPERIMENT, "FILE", "RUN"], "is there already: name another folder"),
    (["import", EXPERIMENT, "no.pkl", "NEW"], "cannot read no.pkl: No such file"),
    (["import", "--experiment=maskformer_tiny", "FILE", "NEW"], "no experiment 'maskformer_tiny'"),
    (["import", EXPERIMENT, "RUN/params.yaml", "NEW"], "it is of no known format"),
    (["import", EXPERIMENT, "FILE"], "OUT"),
    (["export", EXPERIMENT, "RUN", "a.pkl"], "--names"),
    (["export", EXPERIMENT, "--names=torch", "RUN", "a.pkl"], "no names 'torch'.*facebookresearch"),
    (["export", EXPERIMENT, "--names=ImageNet", "RUN", "a.pkl"], "no names 'ImageNet'"),
    (
      ["export", EXPERIMENT, "--names=facebookresearch", "RUN", "a.pth"],
      r"end in \.safetensors or",
    ),
    (["export", EXPERIMENT, "--names=facebookresearch", "NEW", "a.pkl"], "no checkpoint at"),
    (
      ["export", EXPERIMENT, "--names=transformers", "RUN", "a.pkl"],
      "network has no names 'transf",
    ),
    (["exprt"], "invalid choice: 'exprt'"),
  ],
)
def test_mistakes_are_one_line(trained, exported, tmp_path, monkeypatch, arguments, message):
  monkeypatch.chdir(tmp_path)
  known = {"FILE": exported, "RUN": trained[0], "NEW": tmp_path / "new"}
  known["RUN/params.yaml"] = trained[0] / "params.yaml"
  with pytest.raises(UserError, match=message) as caught:
    convert_checkpoint.main([str(known.get(each, each)) for each in arguments])
  assert "\n" not in str(caught.value)
  assert list(tmp_path.iterdir()) == []
