"""The experiments on ImageNet: the backbones of v3 and v4 as classifiers.

TFMG's vision package takes a second to import: it is when one of these is asked for.
"""

from official.core import config_definitions as cfg
from official.core import exp_factory
from official.training.optimizers import OptimizationConfig
from official.training.trainer_config import trainer_config

_TRAIN_IMAGES = 1_281_167
_BATCH, _STEPS = 128, 800_000


@exp_factory.register_config_factory("yolo_darknet53_imagenet")
def yolo_darknet53_imagenet() -> cfg.ExperimentConfig:
  """Darknet53 (Redmon & Farhadi 2018) on ImageNet-1k, with the schedule of `darknet53.cfg`."""
  return _classifier("v3")


@exp_factory.register_config_factory("yolo_cspdarknet53_imagenet")
def yolo_cspdarknet53_imagenet() -> cfg.ExperimentConfig:
  """CSPDarknet53 (Bochkovskiy et al. 2020) on ImageNet-1k: CutMix and smoothed labels, too."""
  experiment = _classifier("v4")
  experiment.task.train_data.override({"mixup_and_cutmix": {"mixup_alpha": 0.0, "prob": 1.0}})
  experiment.task.losses.override({"one_hot": False, "soft_labels": True})
  return experiment


def _classifier(variant: str) -> cfg.ExperimentConfig:
  from official.vision.configs import image_classification as configs
  from projects.yolo.tasks.classification import ClassificationTaskConfig, Model

  task = ClassificationTaskConfig(
    model=Model(variant=variant),
    losses=configs.Losses(l2_weight_decay=5e-4),
    train_data=configs.DataConfig(
      input_path="data/imagenet/train-*", is_training=True, global_batch_size=_BATCH
    ),
    validation_data=configs.DataConfig(
      input_path="data/imagenet/validation-*",
      is_training=False,
      global_batch_size=_BATCH,
      drop_remainder=False,
    ),
  )
  trainer = trainer_config(_STEPS, 100, _TRAIN_IMAGES // _BATCH, _sgd(), best="accuracy")
  runtime = cfg.RuntimeConfig(distribution_strategy="mirrored", mixed_precision_dtype="bfloat16")
  return cfg.ExperimentConfig(task=task, trainer=trainer, runtime=runtime)


def _sgd() -> OptimizationConfig:
  """Momentum, a rate that falls with the fourth power of what is left."""
  poly = {"initial_learning_rate": 0.1, "decay_steps": _STEPS, "power": 4.0}
  return OptimizationConfig(
    {
      "optimizer": {"type": "sgd_torch", "sgd_torch": {"momentum": 0.9}},
      "learning_rate": {"type": "poly", "poly": poly},
      "warmup": {"type": "linear", "linear": {"warmup_steps": 1000}},
    }
  )
