"""Schemes of names on small made-up files."""

import numpy as np
import pytest
import torch

from official.checkpoints import schemes
from official.checkpoints.formats import open_checkpoint
from official.checkpoints.rules import Ignore, Rule
from official.checkpoints.schemes import ForeignFiles, Scheme
from official.checkpoints.transfer import TransferError
from official.cli.errors import UserError

WHOLE = Scheme(
  name="whole",
  rules=(
    Rule("body.{i}.weight", "body/{i}/kernel", "linear"),
    Rule("top.fc.weight", "head/kernel", "linear"),
    Rule("top.fc.bias", "head/bias"),
    Ignore("body.steps", "of training"),
  ),
  container="model",
  aliases={"top.linear.{leaf}": "top.fc.{leaf}"},
  extras=lambda shapes: {"body.steps": np.array(len(shapes))},
)
BODY = Scheme(
  name="body",
  rules=(Rule("{i}.weight", "body/{i}/kernel", "linear"), Ignore("top.{leaf}", "of another task")),
  parts=("body",),
  initial={"body/scale": "the files are older"},
)
FILES = ForeignFiles((WHOLE, BODY), lambda shapes: "a cat" if "meow" in shapes else "")
TARGETS = {
  "body/0/kernel": (3, 2),
  "body/1/kernel": (2, 3),
  "head/kernel": (3, 4),
  "head/bias": (4,),
}
VALUES = {name: np.random.default_rng(1).random(shape) for name, shape in TARGETS.items()}
FILE = {
  "body.0.weight": (2, 3),
  "body.1.weight": (3, 2),
  "body.steps": (),
  "top.fc.weight": (4, 3),
  "top.fc.bias": (4,),
}


def _write(path, shapes, container=""):
  arrays = {name: torch.rand(shape) for name, shape in shapes.items()}
  torch.save({container: arrays, "epoch": torch.ones(1)} if container else arrays, path)
  return open_checkpoint(path)


@pytest.mark.parametrize("container", ["", "model"])
@pytest.mark.parametrize("alias", [False, True])
def test_recognizes_names_wherever_they_are(tmp_path, container, alias):
  shapes = {n.replace("top.fc", "top.linear") if alias else n: s for n, s in FILE.items()}
  checkpoint = _write(tmp_path / "a.pth", shapes, container)
  scheme, arrays = schemes.recognize(FILES, checkpoint)
  assert scheme is WHOLE
  assert {name: array.shape for name, array in arrays.items()} == FILE


def test_recognizes_a_part(tmp_path):
  checkpoint = _write(tmp_path / "a.pth", {"0.weight": (2, 3), "1.weight": (3, 2), "top.fc": (1,)})
  scheme, arrays = schemes.recognize(FILES, checkpoint)
  assert scheme is BODY
  sources = {name: array.shape for name, array in arrays.items()}
  plan = schemes.plan_import(BODY, sources, TARGETS | {"body/scale": (1,)}, ["body"])
  assert list(plan.targets) == ["body/0/kernel", "body/1/kernel"]
  assert plan.ignored == {"top.fc": "of another task"}


def test_what_is_not_recognized_is_named_if_it_is_known(tmp_path):
  checkpoint = _write(tmp_path / "a.pth", {"meow": (1,)})
  with pytest.raises(UserError, match=r"a.pth has none of .* names \(whole, body\); it is a cat$"):
    schemes.recognize(FILES, checkpoint)
  checkpoint = _write(tmp_path / "b.pth", {"woof": (1,)})
  with pytest.raises(UserError, match=r"has none of .* names \(whole, body\)$"):
    schemes.recognize(FILES, checkpoint)


def test_a_parameter_under_two_names_is_refused(tmp_path):
  checkpoint = _write(tmp_path / "a.pth", FILE | {"top.linear.bias": (4,)})
  with pytest.raises(UserError, match=r"'top.fc.bias' and 'top.linear.bias', which are one"):
    schemes.recognize(FILES, checkpoint)


def test_everything_corresponds():
  plan = schemes.plan_import(WHOLE, FILE, TARGETS, ())
  assert plan.pairs == {
    "body/0/kernel": ("body.0.weight",),
    "body/1/kernel": ("body.1.weight",),
    "head/kernel": ("top.fc.weight",),
    "head/bias": ("top.fc.bias",),
  }
  assert plan.ignored == {"body.steps": "of training"}


@pytest.mark.parametrize(
  ("sources", "problems"),
  [
    ({"body.2.weight": (1, 1)}, ["unknown: 'body.{i}.weight' sends 'body.2.weight'"]),
    ({"else": (1,)}, ["unused: 'else'"]),
    ({"top.fc.bias": None}, ["unfilled: no rule fills 'head/bias'"]),
    ({"top.fc.bias": (5,)}, ["misfit: 'top.fc.bias'"]),
    ({"top.fc.weight": (3, 4)}, ["misfit: 'top.fc.weight'"]),
    (
      {"body.0.weight": None, "else": (1,)},
      ["unused: 'else'", "unfilled: no rule fills 'body/0/kernel'"],
    ),
  ],
)
def test_all_that_does_not_correspond_is_listed(sources, problems):
  given = {name: shape for name, shape in (FILE | sources).items() if shape is not None}
  with pytest.raises(TransferError) as caught:
    schemes.plan_import(WHOLE, given, TARGETS, ())
  assert len(caught.value.problems) == len(problems)
  for problem, start in zip(caught.value.problems, problems, strict=True):
    assert problem.startswith(start)


class TestParts:
  def test_the_others_may_be_anything(self):
    sources = FILE | {"top.more": (1,), "top.fc.bias": (9,)}
    plan = schemes.plan_import(WHOLE, sources, TARGETS, ["body"])
    assert list(plan.targets) == ["body/0/kernel", "body/1/kernel"]

  def test_what_is_unknown_beside_them_is_an_error(self):
    with pytest.raises(TransferError, match=r"unused: 'body.more'"):
      schemes.plan_import(WHOLE, FILE | {"body.more": (1,)}, TARGETS, ["body"])

  def test_what_is_missing_in_them_is_an_error(self):
    sources = {name: shape for name, shape in FILE.items() if name != "body.1.weight"}
    with pytest.raises(TransferError, match="unfilled: no rule fills 'body/1/kernel'"):
      schemes.plan_import(WHOLE, sources, TARGETS, ["body"])

  def test_several(self):
    plan = schemes.plan_import(WHOLE, FILE, TARGETS, ["body", "head"])
    assert dict(plan.targets) == TARGETS


class TestExported:
  def test_it_has_the_files_names_and_what_files_hold_besides(self):
    arrays = schemes.exported(WHOLE, VALUES)
    assert {name: array.shape for name, array in arrays.items()} == {
      name.replace("top.fc", "top.linear"): shape for name, shape in FILE.items()
    }
    np.testing.assert_array_equal(arrays["top.linear.weight"], VALUES["head/kernel"].T)
    assert arrays["body.steps"] == 4

  def test_variables_without_names_are_an_error(self):
    with pytest.raises(TransferError, match="unfilled: no rule fills 'tail'"):
      schemes.exported(WHOLE, VALUES | {"tail": np.ones(1)})

  def test_parts_are_not_written(self):
    assert FILES.scheme("whole") is WHOLE
    with pytest.raises(UserError, match=r"no names 'body' to be written with \(known: whole\)"):
      FILES.scheme("body")

  def test_the_end_of_the_name_says_the_format(self, tmp_path):
    with pytest.raises(UserError, match=r"let its name end in \.safetensors or \.pkl"):
      FILES.writer(tmp_path / "a.pth")
