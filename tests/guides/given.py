"""What commands of the documents find in their folder: tiny stand-ins for what users have."""

import json
import shutil

import numpy as np
from PIL import Image

from official.datasets.shapes import Shapes, make_shapes

_THINGS = 80  # Categories of COCO.
_CONFIGURATION = """\
# A step so small that its compiler takes seconds.
# Command: python train.py --experiment=yolo_v4_tiny_shapes --config_file=configs/yolo/small.yaml
# Cost: none (topology v5e:1x1)
task:
  model:
    input_size: 32
  train_data:
    global_batch_size: 1
    augmentation:
      group_size: 1
  validation_data:
    global_batch_size: 1
"""
_CHECKPOINT = """\
import sys

import tensorflow as tf

import projects.registry  # noqa: F401
from official.core import task_factory
from official.training import settings

model = task_factory.get_task(settings.experiment(sys.argv[1]).task).build_model()
tf.train.Checkpoint(model=model).write(f"{sys.argv[2]}/ckpt-0")
"""


def coco(folder):
  """`train2017`, `val2017` and their annotations: shapes, with as many categories as COCO has."""
  if (folder / "train2017").exists():
    return
  made = folder / "made"
  make_shapes(Shapes(made, train=4, val=2, size=64, seed=0, workers=1))
  for split in ("train", "val"):
    shutil.move(made / "images" / split, folder / f"{split}2017")
    content = json.loads((made / f"annotations/instances_{split}.json").read_text())
    content["categories"] = [{"id": i + 1, "name": f"thing{i}"} for i in range(_THINGS)]
    (folder / f"instances_{split}2017.json").write_text(json.dumps(content))


def toys(folder):
  """The small project of parity's own tests."""
  from tests.tools.test_parity import DOSSIER

  project = folder / "projects" / "toys"
  project.mkdir(exist_ok=True)
  (project / "__init__.py").touch()
  (project / "dossier.py").write_text(DOSSIER)


def small_configuration(folder):
  (folder / "configs/yolo/small.yaml").write_text(_CONFIGURATION)


def checkpoint_program(folder):
  """`checkpoint.py EXPERIMENT FOLDER` writes a checkpoint as training begins with it."""
  (folder / "checkpoint.py").write_text(_CHECKPOINT)


def torch_file(folder):
  import torch

  torch.save(torch.nn.Linear(3, 2).state_dict(), folder / "NET.pt")


def darknet(folder):
  """A network of Darknet's, its weights and names, and a picture."""
  (folder / "NET.cfg").write_text(
    "[net]\nwidth=32\nheight=32\n[convolutional]\nfilters=7\nsize=1\nstride=32\n"
    "activation=linear\n[yolo]\nmask=0\nanchors=8,8\nclasses=2\n"
  )
  header = np.array([0, 2, 5, 0, 0], "<i4")
  (folder / "NET.weights").write_bytes(header.tobytes() + np.zeros(28, "<f4").tobytes())
  (folder / "coco.names").write_text("cat\ndog\n")
  Image.new("RGB", (48, 40)).save(folder / "dog.jpg")
