"""`reengineering.yaml`: every mistake is told in one line with its place."""

import pathlib

import pytest
import yaml

from official.cli.errors import UserError
from official.workflow import reengineering
from official.workflow.stages import GATES

_TOY = pathlib.Path(__file__).with_name("toy.yaml")
_ROOT = pathlib.Path(__file__).resolve().parents[3]


def changed(tmp_path, change):
  values = yaml.safe_load(_TOY.read_text())
  change(values)
  path = tmp_path / "reengineering.yaml"
  path.write_text(yaml.safe_dump(values))
  return reengineering.read(path)


def test_the_toy(tmp_path):
  file = changed(tmp_path, lambda values: None)
  assert len(file.checklist) == len(reengineering.CHECKLIST) == 15
  assert file.gates["loss"].weights[0].path == "weights.bin"
  assert (file.gates["loss"].stage.number, file.gates["style"].stage.number) == (3, 4)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda v: v.pop("claims"), "reengineering.yaml: 'claims' is missing"),
    (lambda v: v.update(claimz=1), "unknown field 'claimz'; did you mean 'claims'?"),
    (lambda v: v.update(stage=7), ".stage: expected 1 to 6, not 7"),
    (lambda v: v.update(stage=True), ".stage: expected a number ≥ 0, not True"),
    (lambda v: v.update(stage=1.5), ".stage: expected 1 to 6, not 1.5"),
    (lambda v: v["checklist"].pop("dataset"), ".checklist: 'dataset' is missing"),
    (lambda v: v["checklist"].update(dataset="  "), ".checklist.dataset: expected text, not '  '"),
    (lambda v: v["checklist"].update(colour="red"), ".checklist: unknown field 'colour'"),
    (lambda v: v["reference"].update(licence=None), ".reference.licence: expected text, not None"),
    (lambda v: v.update(difficulty=[]), ".difficulty: expected 'key: value' fields"),
    (lambda v: v.update(deviations={}), ".deviations: expected a list"),
    (lambda v: v["deviations"][0].pop("why"), ".deviations[0]: 'why' is missing"),
    (lambda v: v["defects"][0].update(impact="crahs"), "no 'crahs'; did you mean 'crash'?"),
    (lambda v: v["defects"][0].update(cause="zzz"), ".defects[0].cause: no 'zzz' (one of data/"),
    (lambda v: v["defects"][0].update(more="x"), ".defects[0]: unknown field 'more'"),
    (lambda v: v["gates"].update(lost={}), ".gates.lost: no gate 'lost'; did you mean 'loss'?"),
    (lambda v: v["gates"].update({"loss/": {}}), ".gates.loss/: no gate 'loss'"),
    (lambda v: v["gates"]["loss"].pop("command"), ".gates.loss: 'command' is missing"),
    (lambda v: v["gates"]["loss"].update(command="true"), "begins with 'python -m pytest'"),
    (lambda v: v["gates"]["loss"].update(command="python -m pytestx"), "begins with"),
    (
      lambda v: v["gates"]["style"].update(command="python -m ruff check '"),
      "No closing quotation",
    ),
    (lambda v: v["gates"]["loss"].pop("report"), "'report' is a file in the command's {report}"),
    (lambda v: v["gates"]["style"].update(report="x"), "'report' is a file in the command's"),
    (lambda v: v["gates"]["loss"].update(code="x"), ".gates.loss.code: expected a list"),
    (lambda v: v["gates"]["loss"].update(code=[1]), ".gates.loss.code: expected a list of texts"),
    (lambda v: v["gates"]["loss"]["weights"][0].update(sha256="ab"), "64 hexadecimal digits"),
    (lambda v: v["gates"]["loss"].update(at_least={"AP": "x"}), ".at_least.AP: expected a number"),
  ],
)
def test_mistakes_are_one_line(tmp_path, change, message):
  with pytest.raises(UserError) as caught:
    changed(tmp_path, change)
  assert message in str(caught.value)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["yolo", "maskformer"])
def test_the_projects_bind_known_gates(name):
  file = reengineering.read(_ROOT / "projects" / name / "reengineering.yaml")
  assert {key.partition("/")[0] for key in file.gates} <= set(GATES)
  assert file.defects
  assert file.deviations
