"""Classification by a detector's backbone: TFMG's task, on images in 0..1 as detectors see them."""

import dataclasses

import tensorflow as tf

from official.core import task_factory
from official.vision.configs import image_classification as configs
from official.vision.ops import preprocess_ops
from official.vision.tasks import image_classification
from projects.yolo.modeling.classifier import Backbone


@dataclasses.dataclass
class Model(configs.ImageClassificationModel):
  """TFMG's, with our backbones beside its own."""

  backbone: Backbone = dataclasses.field(default_factory=Backbone)


@dataclasses.dataclass
class ClassificationTaskConfig(configs.ImageClassificationTask):
  """TFMG's configuration."""

  model: Model = dataclasses.field(default_factory=Model)


@task_factory.register_task_cls(ClassificationTaskConfig)
class ClassificationTask(image_classification.ImageClassificationTask):
  """TFMG's task; its inputs go on anywhere in the data after a restart, not where they were."""

  def build_inputs(
    self,
    params: configs.DataConfig,
    input_context: tf.distribute.InputContext | None = None,
    start_step: int = 0,
  ) -> tf.data.Dataset:
    """Batches of images [b, h, w, 3] in 0..1 and labels."""
    del start_step
    batches = super().build_inputs(params, input_context)
    return batches.map(lambda images, labels: (_in_unit_range(images), labels))


def _in_unit_range(images: tf.Tensor) -> tf.Tensor:
  """Undoes TFMG's standardization by ImageNet's mean and deviation, in 0..1."""
  mean, deviation = (
    tf.constant(values, images.dtype)
    for values in (preprocess_ops.MEAN_RGB, preprocess_ops.STDDEV_RGB)
  )
  return (images * deviation + mean) / 255
