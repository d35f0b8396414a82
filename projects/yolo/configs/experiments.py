"""The experiments on COCO: a task, a schedule and a runtime under a name for `--experiment`."""

from official.core import config_definitions as cfg
from official.core import exp_factory
from official.training.trainer_config import trainer_config
from projects.yolo.configs.data import Augmentation, DataConfig
from projects.yolo.configs.schedules import sgd
from projects.yolo.configs.yolo import Detection, Losses, Model, YoloTask

_COCO_TRAIN_IMAGES = 118287
_COCO_BATCH = 64
_COCO_EPOCHS = 300


@exp_factory.register_config_factory("yolo_v3_tiny_coco")
def yolo_v3_tiny_coco() -> cfg.ExperimentConfig:
  """YOLOv3-tiny (Redmon & Farhadi 2018) on COCO."""
  return _coco(Model(variant="v3-tiny", input_size=416))


@exp_factory.register_config_factory("yolo_v4_tiny_coco")
def yolo_v4_tiny_coco() -> cfg.ExperimentConfig:
  """YOLOv4-tiny (Wang et al. 2021) on COCO."""
  return _coco(Model(variant="v4-tiny", input_size=416))


@exp_factory.register_config_factory("yolo_v4_csp_coco")
def yolo_v4_csp_coco() -> cfg.ExperimentConfig:
  """YOLOv4-CSP (Wang et al. 2021) on COCO."""
  return _coco(Model(variant="v4-csp", input_size=640))


@exp_factory.register_config_factory("yolo_v3_coco")
def yolo_v3_coco() -> cfg.ExperimentConfig:
  """YOLOv3 (Redmon & Farhadi 2018) on COCO."""
  return _coco(Model(variant="v3", input_size=416))


@exp_factory.register_config_factory("yolo_v3_spp_coco")
def yolo_v3_spp_coco() -> cfg.ExperimentConfig:
  """YOLOv3 with spatial pyramid pooling (Darknet) on COCO."""
  return _coco(Model(variant="v3-spp", input_size=608))


@exp_factory.register_config_factory("yolo_v4_coco")
def yolo_v4_coco() -> cfg.ExperimentConfig:
  """YOLOv4 (Bochkovskiy et al. 2020) on COCO."""
  return _coco(Model(variant="v4", input_size=512))


@exp_factory.register_config_factory("yolo_v4x_mish_coco")
def yolo_v4x_mish_coco() -> cfg.ExperimentConfig:
  """YOLOv4x-mish, a wider and deeper YOLOv4-CSP (Darknet) on COCO."""
  return _coco(Model(variant="v4x-mish", input_size=640))


@exp_factory.register_config_factory("yolo_v4_p5_coco")
def yolo_v4_p5_coco() -> cfg.ExperimentConfig:
  """YOLOv4-P5 (Wang et al. 2021) on COCO."""
  return _coco(Model(variant="v4-p5", input_size=896))


@exp_factory.register_config_factory("yolo_v4_p6_coco")
def yolo_v4_p6_coco() -> cfg.ExperimentConfig:
  """YOLOv4-P6 (Wang et al. 2021) on COCO."""
  return _coco(Model(variant="v4-p6", input_size=1280))


@exp_factory.register_config_factory("yolo_v4_p7_coco")
def yolo_v4_p7_coco() -> cfg.ExperimentConfig:
  """YOLOv4-P7 (Wang et al. 2021) on COCO."""
  return _coco(Model(variant="v4-p7", input_size=1536))


@exp_factory.register_config_factory("yolo_v7_tiny_coco")
def yolo_v7_tiny_coco() -> cfg.ExperimentConfig:
  """YOLOv7-tiny (Wang et al. 2022) on COCO."""
  augmentation = _v7_mosaics(scale=0.5, translate=0.1, mixup=0.05)
  return _v7("v7-tiny", 640, Losses(kind="v7_ota"), augmentation, last_share=0.01)


@exp_factory.register_config_factory("yolo_v7_coco")
def yolo_v7_coco() -> cfg.ExperimentConfig:
  """YOLOv7 (Wang et al. 2022) on COCO."""
  return _v7("v7", 640, _v7_losses("v7_ota"), _v7_augmentation())


@exp_factory.register_config_factory("yolo_v7x_coco")
def yolo_v7x_coco() -> cfg.ExperimentConfig:
  """YOLOv7-X (Wang et al. 2022) on COCO."""
  return _v7("v7x", 640, _v7_losses("v7_ota"), _v7_augmentation())


@exp_factory.register_config_factory("yolo_v7_w6_coco")
def yolo_v7_w6_coco() -> cfg.ExperimentConfig:
  """YOLOv7-W6 (Wang et al. 2022), with auxiliary heads, on COCO."""
  return _v7_p6("v7-w6")


@exp_factory.register_config_factory("yolo_v7_e6_coco")
def yolo_v7_e6_coco() -> cfg.ExperimentConfig:
  """YOLOv7-E6 (Wang et al. 2022), with auxiliary heads, on COCO."""
  return _v7_p6("v7-e6")


@exp_factory.register_config_factory("yolo_v7_d6_coco")
def yolo_v7_d6_coco() -> cfg.ExperimentConfig:
  """YOLOv7-D6 (Wang et al. 2022), with auxiliary heads, on COCO."""
  return _v7_p6("v7-d6")


@exp_factory.register_config_factory("yolo_v7_e6e_coco")
def yolo_v7_e6e_coco() -> cfg.ExperimentConfig:
  """YOLOv7-E6E (Wang et al. 2022), with auxiliary heads, on COCO."""
  return _v7_p6("v7-e6e")


def _v7_losses(kind: str) -> Losses:
  """Gains of yolov7's `hyp.scratch.p5.yaml` and `hyp.scratch.p6.yaml`."""
  return Losses(kind=kind, objectness=0.7, classes=0.3)


def _v7_augmentation() -> Augmentation:
  """Of the same files, but for pasted objects, which records of boxes cannot give."""
  return _v7_mosaics(scale=0.9, translate=0.2, mixup=0.15)


def _v7_mosaics(**changes: float) -> Augmentation:
  """One mosaic in five is of nine images."""
  return Augmentation(mosaic_nine=0.2, group_size=16, **changes)


def _v7_p6(variant: str) -> cfg.ExperimentConfig:
  losses = _v7_losses("v7_aux_ota")
  return _v7(variant, 1280, losses, _v7_augmentation(), last_share=0.2)


def _v7(
  variant: str,
  input_size: int,
  losses: Losses,
  augmentation: Augmentation,
  last_share: float = 0.1,
) -> cfg.ExperimentConfig:
  """YOLOv7's recipe: ScaledYOLOv4's schedule, other losses and more augmentation."""
  model = Model(
    variant=variant,
    input_size=input_size,
    norm_epsilon=1e-3,
    detection=Detection(iou_threshold=0.65),
  )
  experiment = _coco(model, last_share)
  experiment.task.losses = losses
  experiment.task.train_data.augmentation = augmentation
  return experiment


def _coco(model: Model, last_share: float = 0.2) -> cfg.ExperimentConfig:
  """ScaledYOLOv4's schedule: 300 epochs of batch 64, SGD with cosine decay."""
  steps_per_epoch = _COCO_TRAIN_IMAGES // _COCO_BATCH
  task = YoloTask(
    model=model,
    train_data=DataConfig(
      input_path="data/coco/train-*.tfrecord",
      is_training=True,
      global_batch_size=_COCO_BATCH,
      shuffle_buffer_size=10000,
    ),
    validation_data=DataConfig(
      input_path="data/coco/val-*.tfrecord",
      is_training=False,
      global_batch_size=_COCO_BATCH,
      drop_remainder=False,
    ),
  )
  steps = _COCO_EPOCHS * steps_per_epoch
  warmup_steps = 3 * steps_per_epoch
  optimizer = sgd(0.01, steps, warmup_steps, last_share=last_share, average_decay=0.9999)
  optimizer.optimizer.sgd_torch.override(
    {"warmup_steps": warmup_steps, "warmup_momentum": 0.8, "warmup_bias_rate": 0.1}
  )
  return cfg.ExperimentConfig(
    task=task,
    trainer=trainer_config(steps, 100, 5 * steps_per_epoch, optimizer, best="AP"),
    runtime=cfg.RuntimeConfig(distribution_strategy="mirrored", mixed_precision_dtype="bfloat16"),
  )
