"""YOLOs that take images of any size and answer in their pixels."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
import tf_keras

from official.dossiers.dossier import Detections
from official.serving import weights
from projects.yolo.configs.yolo import YoloTask
from projects.yolo.modeling.darknet.model import import_darknet
from projects.yolo.modeling.deploy import deployed
from projects.yolo.modeling.factory import build_yolo
from projects.yolo.modeling.yolo import Yolo
from projects.yolo.ops import darknet_image, geometry
from projects.yolo.ops.boxes import to_image_pixels

IMAGE = tf.TensorSpec([None, None, 3], tf.uint8)

Fit = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


class ImageDetector:
  """Detects with any network of this project.

  Args:
    model: from images of its input size to `detections`, see `Yolo.call`.
    fit: makes of an image [h, w, 3] uint8 one of that size, and `image_info` [4].
    batch_size: how many images the network takes at a time.
  """

  def __init__(self, model: tf_keras.Model, fit: Fit, batch_size: int) -> None:
    self._model, self._batch_size = model, batch_size
    self._fit = tf.function(fit, input_signature=[IMAGE])

  def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
    """What is in each of the images, see `official.dossiers.dossier.Detector`."""
    starts = range(0, len(images), self._batch_size)
    batches = (images[start : start + self._batch_size] for start in starts)
    return [detections for batch in batches for detections in self._detect_batch(batch)]

  def _detect_batch(self, images: Sequence[np.ndarray]) -> list[Detections]:
    # A short batch is filled up, lest the network be traced anew.
    filled = [images[row] if row < len(images) else images[0] for row in range(self._batch_size)]
    inputs, infos = zip(*(self._fit(image) for image in filled), strict=True)
    sizes = tf.constant([image.shape[:2] for image in filled])
    found = self._run(tf.stack(inputs), tf.stack(infos), sizes)
    arrays = {key: value.numpy() for key, value in found.items()}
    counts = arrays.pop("count")[: len(images)]
    return [
      {key: values[row, :count] for key, values in arrays.items()}
      for row, count in enumerate(counts)
    ]

  @tf.function
  def _run(self, images: tf.Tensor, infos: tf.Tensor, sizes: tf.Tensor) -> dict[str, tf.Tensor]:
    """Images [b, s, s, 3], `image_info` [b, 4], heights and widths [b, 2] → `nms.detect`'s."""
    detections = self._model(images, training=False)["detections"]
    return detections | {"boxes": to_image_pixels(detections["boxes"], infos, sizes)}


def load_deployed(task: YoloTask, checkpoint: str) -> Yolo:
  """The network of `task` with the weights of `checkpoint`, as inference needs it.

  Raises:
    UserError: the checkpoint cannot be read, or is of another network.
  """
  model = build_yolo(task.model)
  weights.load(model, checkpoint)
  return deployed(model)


class YoloDetector(ImageDetector):
  """Detects as the task's evaluation does: same resizing, network (deployed), suppression.

  Args:
    task: the configuration; of its data, only whether evaluation keeps the aspect ratio counts.
    checkpoint: prefix of a checkpoint of the network.
    batch_size: how many images the network takes at a time.

  Raises:
    UserError: the checkpoint cannot be read, or is of another network.
  """

  def __init__(self, task: YoloTask, checkpoint: str, batch_size: int) -> None:
    model = load_deployed(task, checkpoint)
    fit = geometry.fitting(task.validation_data.letterbox)
    size = task.model.input_size
    super().__init__(model, lambda image: fit(image, size), batch_size)


class DarknetDetector(ImageDetector):
  """Detects as Darknet does, with a network of Darknet's: its resizing, layers, suppression.

  Attributes:
    num_classes: classes, without background.

  Args:
    cfg: path of the `.cfg`.
    weights: path of the `.weights`.
    batch_size: how many images the network takes at a time.

  Raises:
    UserError: either file cannot be read, does not fit the other, or holds what is not supported.
  """

  def __init__(self, cfg: str, weights: str, batch_size: int) -> None:
    network, model = import_darknet(cfg, weights)
    fit = darknet_image.letterbox if network.letterbox else darknet_image.stretch
    height, width, _ = network.input
    self.num_classes = network.heads[0].classes
    super().__init__(model, lambda image: fit(image, height, width), batch_size)
