"""Classification by a detector's backbone: TFMG's task, on images in 0..1 as detectors see them."""

import dataclasses

import tensorflow as tf
import tf_keras

from official.core import task_factory
from official.modeling import hyperparams
from official.vision.configs import image_classification as configs
from official.vision.ops import preprocess_ops
from official.vision.tasks import image_classification
from projects.yolo.modeling.classifier import build_classifier


@dataclasses.dataclass
class Model(hyperparams.Config):
  """The network, see `build_classifier`.

  Attributes:
    variant: the detector whose backbone it is.
    num_classes: of the data.
    input_size: height, width, 3.
    norm_momentum: of BatchNorm, in Keras' convention.
    norm_epsilon: of BatchNorm.
  """

  variant: str = "v3"
  num_classes: int = 1000
  input_size: list[int] = dataclasses.field(default_factory=lambda: [256, 256, 3])
  norm_momentum: float = 0.9
  norm_epsilon: float = 1e-5


@dataclasses.dataclass
class ClassificationTaskConfig(configs.ImageClassificationTask):
  """TFMG's configuration, of our networks."""

  model: Model = dataclasses.field(default_factory=Model)


@task_factory.register_task_cls(ClassificationTaskConfig)
class ClassificationTask(image_classification.ImageClassificationTask):
  """TFMG's task; its inputs go on anywhere in the data after a restart, not where they were."""

  def build_model(self) -> tf_keras.Model:
    """The network of the configuration, its variables made."""
    model = self.task_config.model
    return build_classifier(
      model.variant,
      model.num_classes,
      model.input_size,
      model.norm_momentum,
      model.norm_epsilon,
      self.task_config.losses.l2_weight_decay,
    )

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
