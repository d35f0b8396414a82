"""The demo in small: every part runs, and the page and the figures are of that run."""

import base64
import io
import json
import pathlib
import re
import subprocess
import sys

import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
  folder = tmp_path_factory.mktemp("demo")
  arguments = f"--output {folder} --seed 3 --train 32 --val 6 --steps 3"
  command = ["make", "--silent", "demo", f"DEMO_ARGS={arguments}"]
  command += [f"BIN={pathlib.Path(sys.executable).parent}", "-o", ".venv/.runtime"]  # Installed.
  result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
  assert result.returncode == 0, result.stderr
  return folder, result


def test_page_is_self_contained_and_whole(demo):
  folder, _ = demo
  page = (folder / "index.html").read_text()
  assert not re.findall(r'(?:src|href)="(?!data:)', page)
  assert "<script" not in page
  for text in ("Training", "Metrics", "ground truth", "Configuration", "num_classes: 6"):
    assert text in page
  pictures = re.findall(r"data:image/png;base64,([^\"]+)", page)
  assert len(pictures) == 6
  sizes = {Image.open(io.BytesIO(base64.b64decode(data))).size for data in pictures}
  assert sizes == {(2 * 384 + 8, 384)}
  assert page.count("data:image/svg+xml") == 4


def test_figures_are_those_of_the_last_evaluation(demo):
  folder, result = demo
  figures = json.loads((folder / "metrics.json").read_text())
  assert figures["steps"] == 3
  line = next(line for line in result.stderr.splitlines() if line.startswith("step 3:"))
  for name in ("AP", "AP50", "AR100"):
    printed = float(re.search(rf"\b{name} ([-\d.e]+)", line)[1])
    assert figures["metrics"][name] == pytest.approx(printed, rel=1e-3)


def test_output_is_quiet(demo):
  _, result = demo
  for word in ("Warning", "WARNING", "cuda", "TF-TRT", "deprecat", "oneDNN", "Traceback"):
    assert word not in result.stdout + result.stderr


def test_a_failing_part_is_named(tmp_path):
  command = [sys.executable, "-m", "tools.demo", "--output", str(tmp_path), "--train", "-1"]
  result = subprocess.run(command, capture_output=True, text=True)
  assert result.returncode == 2
  assert "prepare_data" in result.stderr.splitlines()[-1]
