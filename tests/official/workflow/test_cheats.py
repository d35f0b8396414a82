"""Ways to cheat, and to damage evidence: each is noticed, and none loses what was recorded."""

import concurrent.futures
import dataclasses
import json
import multiprocessing
import shutil

import pytest

from official.cli.errors import UserError
from official.workflow import checking, judging, mending, project, records
from official.workflow.judging import State
from tests.official.workflow.conftest import commit, edit, git, run


def judge(root, revision="HEAD"):
  return judging.judge(project.load(root, "toy"), revision)


def state(root, gate="loss"):
  return next(row.state for row in judge(root).verdicts if row.name == gate)


def findings(root, revision="HEAD"):
  return checking.findings(judge(root, revision))


def recorded(root):
  return [(row.gate, row.result, row.at) for row in judge(root).reading.records]


def mend(root):
  return mending.mend(project.load(root, "toy").ledger)


@pytest.fixture
def before(root):
  """What is recorded before the damage is done."""
  assert findings(root) == []
  assert (state(root), state(root, "style")) == (State.PASSED, State.PASSED)
  return recorded(root)


def assert_noticed_and_mended(root, before, text):
  assert any(text in line for line in findings(root)), findings(root)
  assert state(root) is not State.PASSED
  mend(root)
  assert recorded(root) == before
  assert findings(root) == []
  assert state(root) is State.PASSED


def test_an_edited_result(root, evidence, before):
  edit(evidence / "ledger.jsonl", '"result": "passed"', '"result": "failed"')
  assert_noticed_and_mended(root, before, "line 1: it is not as it was written")


def test_an_edited_figure(root, evidence, before):
  edit(evidence / "ledger.jsonl", '"passed": 1', '"passed": 100')
  assert_noticed_and_mended(root, before, "line 1: it is not as it was written")


@pytest.mark.parametrize("left", [0.0, 0.2, 0.5, 0.95])
def test_a_truncated_ledger(root, evidence, before, left):
  path = evidence / "ledger.jsonl"
  data = path.read_bytes()
  path.write_bytes(data[: int(left * len(data))])
  assert_noticed_and_mended(root, before, "")
  assert any(file.read_bytes() == data[: int(left * len(data))] for file in aside(evidence))


def aside(evidence):
  return [path for path in (evidence / "aside").rglob("*") if path.is_file()]


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_a_line_that_was_taken_out(root, evidence, before, taken):
  path = evidence / "ledger.jsonl"
  lines = path.read_text().splitlines(keepends=True)
  path.write_text("".join(lines[:taken] + lines[taken + 1 :]))
  assert_noticed_and_mended(root, before, "")


def test_lines_in_another_order(root, evidence, before):
  path = evidence / "ledger.jsonl"
  one, two, seal = path.read_text().splitlines(keepends=True)
  path.write_text(two + one + seal)
  assert any("taken out or put in" in line for line in findings(root))
  mend(root)
  assert recorded(root) == before


def test_a_deleted_ledger(root, evidence, before):
  (evidence / "ledger.jsonl").unlink()
  assert_noticed_and_mended(root, before, "2 records that HEAD has are gone")


def test_a_deleted_ledger_where_git_has_none(root, evidence, before):
  shutil.rmtree(root / ".git")
  (evidence / "ledger.jsonl").unlink()
  assert any("no record is of reports/0001-loss" in line for line in findings(root))
  assert state(root) is State.DAMAGED


def test_all_evidence_deleted(root, evidence, before):
  shutil.rmtree(evidence)
  assert_noticed_and_mended(root, before, "2 records that HEAD has are gone")


@pytest.mark.parametrize("end", ["log", "code.json", "tests.json"])
def test_a_deleted_report(root, evidence, before, end):
  (evidence / f"reports/0001-loss.{end}").unlink()
  assert_noticed_and_mended(root, before, f"reports/0001-loss.{end} is gone")


def test_an_edited_report(root, evidence, before):
  edit(evidence / "reports/0001-loss.log", "1 passed", "9 passed")
  assert_noticed_and_mended(root, before, "reports/0001-loss.log is not as it was written")
  assert any("9 passed" in file.read_text() for file in aside(evidence))


def test_a_report_that_git_does_not_have(root, evidence, before):
  run(root)
  (evidence / "reports/0003-loss.log").unlink()
  assert any("0003-loss.log is gone" in line for line in findings(root))
  assert "left out: loss" in "".join(mend(root))
  assert recorded(root) == before
  assert any('"gate": "loss"' in file.read_text() for file in aside(evidence))


def test_a_spoiled_report_of_an_older_run(root, evidence, before):
  run(root)
  (evidence / "reports/0001-loss.log").write_text("")
  assert findings(root) == ["reports/0001-loss.log is not as it was written"]


def test_evidence_of_an_older_commit(root, evidence, before):
  git(root, "checkout", "-q", "HEAD~1", "--", "projects/toy/evidence")
  shutil.rmtree(evidence / "reports")
  git(root, "checkout", "-q", "HEAD~1", "--", "projects/toy/evidence/reports")
  assert len(recorded(root)) == 1
  assert any("1 records that HEAD has are gone, the first of style" in x for x in findings(root))
  mend(root)
  assert recorded(root) == before


def test_a_commit_that_forgets(root, evidence, before):
  """Who commits the damage is found by what the branch came from."""
  git(root, "checkout", "-q", "-b", "work")
  shutil.rmtree(evidence)
  commit(root)
  assert findings(root) == []
  assert state(root) is State.NOT_RUN
  assert any("2 records that main has are gone" in line for line in findings(root, "main"))


def test_a_ledger_that_was_computed_anew(root, evidence, before):
  path = evidence / "ledger.jsonl"
  rows = records.parse(path.read_bytes(), "toy").records
  forged = [dataclasses.replace(rows[0], figures={"passed": 99}), rows[1]]
  path.write_bytes(records.write(forged, "toy"))
  assert any("1 records that HEAD has are gone" in line for line in findings(root))
  mend(root)
  assert set(before) <= set(recorded(root))


def test_evidence_of_another_project(root, evidence, before):
  shutil.copytree(root / "projects/toy", root / "projects/twin")
  twin = project.load(root, "twin")
  assert any("taken out or put in" in line for line in twin.ledger.read().problems)


def test_a_record_under_another_gate(root, evidence, before):
  path = evidence / "ledger.jsonl"
  rows = records.parse(path.read_bytes(), "toy").records
  path.write_bytes(records.write([*rows, dataclasses.replace(rows[1], gate="data")], "toy"))
  edit(
    root / "projects/toy/reengineering.yaml",
    "  style:\n",
    "  data:\n    command: python -m pytest tests\n  style:\n",
  )
  assert state(root, "data") is State.STALE


def test_a_line_of_the_loss(root, evidence, before):
  """The gate that speaks of it goes stale, and fails when it is run; what was recorded stays."""
  edit(root / "projects/toy/terms.py", "x * x", "x * x * x")
  assert state(root) is State.STALE
  assert any("loss: stale: changed since: projects/toy/terms.py" in x for x in findings(root))
  assert run(root).result == records.FAILED
  assert state(root) is State.FAILED
  assert recorded(root)[:2] == before
  edit(root / "projects/toy/terms.py", "x * x * x", "x * x")
  assert state(root) is State.FAILED
  run(root)
  assert state(root) is State.PASSED


def test_code_of_an_older_commit(root, before):
  edit(root / "projects/toy/loss.py", "2 *", "4 *")
  edit(root / "tests/projects/toy/test_loss.py", "18", "36")
  run(root)
  commit(root)
  assert state(root) is State.PASSED
  git(root, "checkout", "-q", "HEAD~1", "--", "projects/toy/loss.py", "tests")
  assert state(root) is State.STALE


def test_code_that_nothing_imports_changes_nothing(root, before):
  (root / "projects/toy/other.py").write_text("x = 1\n")
  assert (state(root), state(root, "style")) == (State.PASSED, State.STALE)


def test_a_weaker_test(root, before):
  edit(root / "tests/projects/toy/test_loss.py", "loss(3) == 18", "True")
  assert state(root) is State.STALE


def test_a_conftest_that_skips(root, before):
  text = "import pytest\n\n\ndef pytest_collection_modifyitems(items):\n"
  text += "  for item in items:\n    item.add_marker(pytest.mark.skip)\n"
  (root / "tests/conftest.py").write_text(text)
  assert state(root) is State.STALE
  record = run(root)
  assert (record.result, record.reason) == (records.FAILED, "no test ran")
  assert record.figures == {"passed": 0, "skipped": 1, "failed": 0}


def test_settings_that_leave_tests_out(root, before):
  edit(root / "pyproject.toml", '"-q"', '"-q -k nothing"')
  assert state(root) is State.STALE
  assert run(root).result == records.FAILED


def test_variables_that_leave_tests_out(root, before, monkeypatch):
  monkeypatch.setenv("PYTEST_ADDOPTS", "--collect-only")
  monkeypatch.setenv("PYTHONOPTIMIZE", "1")
  assert run(root).result == records.PASSED
  edit(root / "projects/toy/loss.py", "2 *", "3 *")
  assert run(root).result == records.FAILED


def test_other_weights(root, before):
  (root / "weights.bin").write_bytes(b"others")
  assert state(root) is State.STALE
  assert any("weights.bin: what is there is not what is pinned" in x for x in findings(root))
  with pytest.raises(UserError, match="is not what is pinned"):
    run(root)
  (root / "weights.bin").unlink()
  assert state(root) is State.PASSED
  with pytest.raises(UserError, match="is not at hand"):
    run(root)
  assert recorded(root) == before


def test_a_pin_of_other_weights(root, before):
  pinned = project.load(root, "toy").binding("loss").weights[0].sha256
  edit(root / "projects/toy/reengineering.yaml", pinned, "a" * 64)
  reasons = next(row.reasons for row in judge(root).verdicts if row.name == "loss")
  assert any("it was run with others" in reason for reason in reasons)
  assert state(root) is State.STALE


def test_other_versions(root, before):
  edit(root / "requirements.lock", "pytest==9.2.0", "pytest==9.3.0")
  assert state(root) is State.STALE
  assert any("pytest was 9.2.0, requirements.lock has 9.3.0" in x for x in findings(root))
  assert state(root, "style") is State.PASSED


def test_another_command(root, before):
  edit(root / "projects/toy/reengineering.yaml", "toy/test_loss.py", "toy/test_loss.py --co")
  assert state(root) is State.STALE


def test_a_command_that_proves_nothing(root, before):
  edit(root / "projects/toy/reengineering.yaml", "python -m ruff check projects", "echo ok")
  with pytest.raises(UserError, match="begins with 'python -m ruff check'"):
    judge(root)


def test_a_gate_that_was_left_out(root, before):
  text = (root / "projects/toy/reengineering.yaml").read_text()
  text = text[: text.index("  style:")].replace("stage: 1", "stage: 5")
  (root / "projects/toy/reengineering.yaml").write_text(text)
  assert state(root, "style") is State.UNBOUND
  assert any("stage 4, style: no command (the project says" in line for line in findings(root))
  assert recorded(root) == before


def test_a_stage_that_was_not_reached(root, before):
  edit(root / "projects/toy/reengineering.yaml", "stage: 1", "stage: 2")
  assert any("stage 1, checklist: no command" in line for line in findings(root))


def test_code_that_changes_while_it_is_tested(root, before):
  text = "from projects.toy.loss import loss\n\n\ndef test_loss():\n  assert loss(3) == 18\n"
  text += "  open('projects/toy/terms.py', 'a').write('# done\\n')\n"
  (root / "tests/projects/toy/test_loss.py").write_text(text)
  assert run(root).reason == "the code was changed while it ran"
  assert state(root) is State.FAILED


def append(root, number):
  of = project.load(root, "toy")
  row = of.ledger.read().records[0]
  of.ledger.append(dataclasses.replace(row, reason=str(number)), {"log": str(number).encode()})


def test_many_writers_at_once(root, evidence, before):
  """Each of 24 records of six processes is kept, in a whole ledger, with its own report."""
  context = multiprocessing.get_context("spawn")
  with concurrent.futures.ProcessPoolExecutor(6, mp_context=context) as pool:
    list(pool.map(append, [root] * 24, range(24)))
  reading = judge(root).reading
  assert (reading.problems, reading.spoiled) == ((), {})
  new = reading.records[2:]
  assert sorted(int(row.reason) for row in new) == list(range(24))
  for row in new:
    (name,) = row.files
    assert (evidence / name).read_text() == row.reason


def test_two_clones_that_are_merged(root, evidence, before):
  """Each branch adds a run; what git makes of both is noticed, and mending keeps both."""
  git(root, "checkout", "-q", "-b", "other")
  run(root)
  commit(root)
  git(root, "checkout", "-q", "main")
  run(root, "style")
  commit(root)
  ours = recorded(root)
  assert git(root, "merge", "-q", "other").returncode == 1
  assert any("not as it was written" in line for line in findings(root))
  mend(root)
  rows = recorded(root)
  assert (len(rows), [row for row in rows if row in ours]) == (4, ours)
  assert findings(root) == []


def test_damage_while_a_gate_runs(root, evidence, before):
  """The run is not lost: it is set aside, whole."""
  text = "def test_loss():\n  open('projects/toy/evidence/ledger.jsonl', 'a').write('x')\n"
  (root / "tests/projects/toy/test_loss.py").write_text(text)
  with pytest.raises(UserError, match="the run is kept in"):
    run(root)
  (place,) = (evidence / "aside").iterdir()
  (row,) = records.parse((place / "record.jsonl").read_bytes(), "toy").records
  assert row.result == records.PASSED
  assert json.loads((place / "tests.json").read_text())
  mend(root)
  assert recorded(root) == before


def test_nothing_is_run_on_damaged_evidence(root, evidence, before):
  (evidence / "ledger.jsonl").write_text("")
  lines = []
  with pytest.raises(UserError, match="mend it: workflow mend toy"):
    run(root, lines=lines)
  assert lines == []


def test_a_write_that_breaks_off(root, evidence, before, monkeypatch):
  """Reports without their record are noticed, and set aside."""
  ledger = project.load(root, "toy").ledger
  monkeypatch.setattr(type(ledger), "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
  with pytest.raises(KeyboardInterrupt):
    ledger.append(dataclasses.replace(ledger.read().records[0]), {"log": b"kept"})
  monkeypatch.undo()
  assert any("no record is of reports/0003-loss.log" in line for line in findings(root))
  mend(root)
  assert (recorded(root), findings(root)) == (before, [])
  assert b"kept" in [file.read_bytes() for file in aside(evidence)]
