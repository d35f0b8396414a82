import json

import pytest

from official.cli.errors import UserError
from tools import tpu_check

pytest.importorskip("libtpu")

FAKE = ["--experiment=fake", "--registry=tests.official.training.fake"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_step_that_fits(tmp_path, capsys):
  argv = [*FAKE, "--topology=v5e:1x1", f"--report={tmp_path / 'report'}"]
  assert tpu_check.main(argv) == 0
  told = capsys.readouterr()
  assert "FITS: train step, v5e:1x1, 4 images a replica" in told.out
  assert "compiling" in told.err
  report = json.loads((tmp_path / "report" / "report.json").read_text())
  assert report["checks"][0]["fits"]
  assert not report["checks"][0]["cached"]
  assert (tmp_path / "report" / "index.html").exists()
  assert tpu_check.main(argv) == 0
  report = json.loads((tmp_path / "report" / "report.json").read_text())
  assert report["checks"][0]["cached"]


def test_several_topologies_are_a_table(capsys):
  code = tpu_check.main([*FAKE, "--topologies=v5e:1x1,v5e:2x2", "--lint", "--step=eval"])
  assert code == 0
  assert "v5e:2x2" in capsys.readouterr().out


def test_what_takes_too_long_does_not_fit(capsys):
  assert tpu_check.main([*FAKE, "--topology=v5e:1x1", "--time_limit=1", "--no_cache"]) in (0, 1)
  told = capsys.readouterr().out
  assert "FITS" in told or "time limit" in told


@pytest.mark.parametrize(
  ("argv", "told"),
  [
    (["--experiment=fake"], "either --topology or --topologies"),
    ([*FAKE, "--topology=v9:1x1"], "no chip 'v9'"),
    (["--experiment=nothing", "--topology=v5e:1x1"], "no experiment 'nothing'"),
    ([*FAKE, "--topology=v5e:1x1", "--batch=0"], "positive"),
    ([*FAKE, "--topology=v5e:1x1", "--params_override=task.x=1"], "unknown key 'task.x'"),
    ([*FAKE, "--topology=v5e:2x4"], "does not divide among 8 replicas"),
  ],
)
def test_mistakes_are_told_in_one_line(argv, told):
  with pytest.raises(UserError, match=told):
    tpu_check.main(argv)
