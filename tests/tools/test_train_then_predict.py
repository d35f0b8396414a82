"""What `train.py` leaves is all that `predict` needs; the data may be gone."""

import json
import pathlib
import shutil
import subprocess
import sys

from official.datasets.shapes import Shapes, make_shapes
from tools import predict

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_settings_weights_and_class_names_come_from_the_run(tmp_path, capsys):
  data, run, output = (tmp_path / name for name in ("data", "run", "out"))
  make_shapes(Shapes(data, train=4, val=2, size=64, seed=0, workers=1))
  settings = {
    "task.train_data.input_path": f"{data}/train-*.tfrecord",
    "task.train_data.global_batch_size": 2,
    "task.train_data.augmentation.group_size": 2,
    "task.model.input_size": 64,
    "task.model.detection.max_detections": 7,
    "trainer.train_steps": 1,
    "trainer.steps_per_loop": 1,
    "trainer.summary_interval": 1,
  }
  flags = ["--experiment=yolo_v4_tiny_shapes", "--mode=train", f"--model_dir={run}"]
  flags += ["--params_override=" + ",".join(f"{key}={value}" for key, value in settings.items())]
  command = [sys.executable, "-m", "train", *flags]
  done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  ids = {row["id"] for row in json.loads((data / "train.json").read_text())["categories"]}
  (image, *_) = sorted((data / "images" / "val").iterdir())
  image = shutil.copy(image, tmp_path)
  shutil.rmtree(data)

  flags = ["--experiment=yolo_v4_tiny_shapes", f"--checkpoint={run}", "--score_threshold=0"]
  assert predict.main([*flags, f"--output={output}", str(image)]) == 0

  errors = capsys.readouterr().err
  assert f"predicting with {run}/ckpt-1" in errors
  assert "not known" not in errors
  rows = json.loads((output / "detections.json").read_text())
  assert len(rows) == 7
  assert {row["category_id"] for row in rows} <= ids
