"""Every experiment says what the original's configurations say, and its file agrees."""

import pathlib
import re

import pytest
import yaml

import projects.registry  # noqa: F401
from official.tpu import chips
from official.training import settings
from projects.maskformer import claims
from projects.maskformer.configs.experiments import ROWS
from projects.maskformer.dataloaders.maskformer_input import check
from projects.maskformer.modeling.variants import VARIANTS

ROOT = pathlib.Path(__file__).resolve().parents[4]
FILES = sorted((ROOT / "configs/maskformer").glob("*.yaml"))

# Read from the original's configs/: batch, iterations, crop or longest side, sizes of training
# (first, last), evaluation's shortest side; learning rate and decay of the ResNets.
ORIGINAL = {
  "coco_panoptic": (64, 554400, 1333, (480, 800), 800),
  "ade20k": (16, 160000, (512, 512), (256, 1024), 512),
  "ade20k_panoptic": (16, 720000, (640, 640), (320, 1280), 640),
  "ade20k_full": (16, 200000, (512, 512), (256, 1024), 512),
  "coco_stuff_10k": (32, 60000, (640, 640), (320, 960), 640),
  "cityscapes": (16, 90000, (512, 1024), (512, 2048), 1024),
  "mapillary": (16, 300000, (1280, 1280), (1024, 4096), 2048),
}


@pytest.mark.parametrize("name", ROWS)
def test_figures_are_the_originals(name):
  row = ROWS[name]
  params = settings.experiment(f"maskformer_{name}")
  params.validate()
  batch, steps, crop, sizes, shortest = ORIGINAL[row.data]
  large = name in ("swin_base_ade20k", "swin_large_ade20k")
  if large:
    crop, sizes, shortest = (640, 640), (320, 1280), 640
  if name == "swin_large_coco_panoptic":
    crop = 1000
  train, validation = params.task.train_data, params.task.validation_data
  assert (train.global_batch_size, params.trainer.train_steps) == (batch, steps)
  assert (train.min_sizes[0], train.min_sizes[-1]) == sizes
  assert validation.min_sizes == [shortest]
  if isinstance(crop, int):
    assert (train.max_size, train.augmentation.zoom.probability) == (crop, 0.5)
  else:
    assert tuple(train.augmentation.crop) == crop
    assert train.augmentation.color
  _check_optimizer(params, row)
  for data in (train, validation):
    check(data)


def _check_optimizer(params, row):
  config = params.trainer.optimizer_config
  swin = row.variant.startswith("swin")
  adamw = config.optimizer.get()
  assert (adamw.weight_decay, adamw.clip_norm) == ((1e-2 if swin else 1e-4), 0.01)
  schedule = config.learning_rate.get()
  assert schedule.initial_learning_rate == (6e-5 if swin else 1e-4)
  if row.data == "coco_panoptic":
    assert (schedule.boundaries, schedule.factor) == ([369600], 0.1)
  else:
    assert (schedule.decay_steps, schedule.power) == (params.trainer.train_steps, 0.9)
  warmup = config.warmup.get()
  assert (warmup and (warmup.warmup_steps, warmup.factor)) == ((1500, 1e-6) if swin else None)
  assert params.task.backbone_multiplier == (1.0 if swin else 0.1)
  losses = params.task.losses
  assert (losses.classes, losses.mask, losses.dice, losses.no_object) == (1, 20, 1, 0.1)


# TEST.AUG of the original: the shortest sides, and the longest one. Other data sets have none.
MANY_VIEWS = {
  "ade20k": ([256, 384, 512, 640, 768, 896], 3584),
  "coco_stuff_10k": ([320, 480, 640, 800, 960, 1120], 4480),
  "cityscapes": ([512, 768, 1024, 1280, 1536, 1792], 4096),
}


def test_many_views_are_the_originals_and_not_taken_unless_asked():
  for name, row in ROWS.items():
    views = settings.experiment(f"maskformer_{name}").task.validation_data.many_views
    large = name in ("swin_base_ade20k", "swin_large_ade20k")
    expected = MANY_VIEWS["coco_stuff_10k"] if large else MANY_VIEWS.get(row.data, ([], 4096))
    assert (views.min_sizes, views.max_size) == expected, name
    assert not views.enabled


def test_thresholds_and_evaluations():
  for name, row in ROWS.items():
    task = settings.experiment(f"maskformer_{name}").task
    panoptic = row.data.endswith("panoptic")
    assert ("panoptic" in task.evaluations) == panoptic
    expected = 0.7 if row.data == "ade20k_panoptic" else 0.8
    assert (task.inference.object_threshold, task.inference.overlap_threshold) == (expected, 0.8)


def test_rows_and_claims_are_of_the_same_networks():
  assert {name: row.variant for name, row in ROWS.items()} == {
    name: row.variant for name, row in claims.PUBLISHED.items()
  }
  assert len(ROWS) == 30  # Models of MODEL_ZOO.md.
  for row in ROWS.values():
    assert row.variant in VARIANTS


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_every_file_fits_the_experiment_that_its_header_runs(path):
  text = path.read_text()
  header = [line for line in text.splitlines() if line.startswith("#")]
  for word in ("Paper:", "Command:", "Cost:", "Expected:"):
    assert any(line.startswith(f"# {word}") for line in header), word
  assert f"--config_file=configs/maskformer/{path.name}" in text
  name = text.split("--experiment=")[1].split()[0]
  params = settings.experiment(name)
  settings.override(params, yaml.safe_load(text), path.name)
  if published := claims.PUBLISHED.get(path.stem):
    assert name == f"maskformer_{path.stem}"
    assert f"# Expected: {published.metric} {100 * published.value:.1f} on" in text
    data = params.task.train_data
    assert f"), {params.trainer.train_steps:,} steps of {data.global_batch_size} images" in text
    (topology,) = re.findall(r"\(topology (\S+)\)", text)
    for each in (data, params.task.validation_data):
      assert each.global_batch_size % chips.parse(topology).replicas == 0


def test_every_experiment_has_a_file():
  names = {path.stem for path in FILES}
  assert names == {*ROWS, "tiny_shapes", "tiny_two_images"}
