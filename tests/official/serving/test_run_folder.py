"""What is found in a run's folder, and from where."""

import json

import pytest
import tensorflow as tf

from official.cli.errors import UserError
from official.datasets.annotations import Category
from official.serving.run_folder import RunFolder
from official.training import record

CATEGORIES = [Category(3, "cat", True), Category(1, "dog", True)]


def save(folder, step, name="ckpt"):
  checkpoint = tf.train.Checkpoint(x=tf.Variable(step))
  return checkpoint.write(str(folder / f"{name}-{step}"))


@pytest.fixture
def run(tmp_path):
  """A run with two checkpoints and a best one, its settings and its categories."""
  (tmp_path / "best").mkdir()
  for step in (5, 10):
    save(tmp_path, step)
  save(tmp_path / "best", 5, "best_ckpt")
  (tmp_path / "params.yaml").write_text("task:\n  sizes: !!python/tuple [1, 2]\n")
  record.save_categories(CATEGORIES, str(tmp_path))
  return tmp_path


@pytest.mark.parametrize(
  ("given", "found"),
  [
    ("", "best/best_ckpt-5"),
    ("/", "best/best_ckpt-5"),
    ("/best/", "best/best_ckpt-5"),
    ("/ckpt-5", "ckpt-5"),
    ("/ckpt-10.index", "ckpt-10"),
    ("/best/best_ckpt-5", "best/best_ckpt-5"),
  ],
)
def test_everything_is_found_from_anywhere_in_the_run(run, given, found):
  folder = RunFolder(f"{run}{given}")
  assert folder.checkpoint("best") == f"{run}/{found}"
  assert folder.settings() == (f"{run}/params.yaml", {"task": {"sizes": (1, 2)}})
  assert folder.categories() == CATEGORIES


def test_the_newest_without_a_best(run):
  assert RunFolder(str(run)).checkpoint("") == f"{run}/ckpt-10"
  assert RunFolder(str(run)).checkpoint("other") == f"{run}/ckpt-10"


def test_a_damaged_checkpoint_is_passed_over(run, capsys):
  (run / "ckpt-10.data-00000-of-00001").write_bytes(b"")
  assert RunFolder(str(run)).checkpoint("") == f"{run}/ckpt-5"
  assert "ckpt-10 is damaged" in capsys.readouterr().err


def test_nothing_recorded(tmp_path):
  folder = RunFolder(str(tmp_path))
  assert folder.settings() is None
  assert folder.categories() is None


@pytest.mark.parametrize("given", ["", "/ckpt-7", "/none"])
def test_no_checkpoint(tmp_path, given):
  with pytest.raises(UserError, match=f"no checkpoint at {tmp_path}{given}"):
    RunFolder(f"{tmp_path}{given}").checkpoint("best")


@pytest.mark.parametrize("content", ["{", '[{"id": 1}]', "[3]"])
def test_damaged_categories(run, content):
  (run / "categories.json").write_text(content)
  with pytest.raises(UserError, match=r"categories\.json is damaged"):
    RunFolder(str(run)).categories()


def test_categories_on_disk_are_plain_json(run):
  assert json.loads((run / "categories.json").read_text()) == [
    {"id": 3, "name": "cat", "isthing": True},
    {"id": 1, "name": "dog", "isthing": True},
  ]
  assert not list(run.glob("*.tmp"))
