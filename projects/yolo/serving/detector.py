"""A trained YOLO that takes images of any size and answers in their pixels."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from official.dossiers.dossier import Detections
from official.serving import weights
from projects.yolo.configs.yolo import YoloTask
from projects.yolo.modeling.factory import build_yolo
from projects.yolo.ops import geometry
from projects.yolo.ops.boxes import to_image_pixels

_IMAGE = tf.TensorSpec([None, None, 3], tf.uint8)


class YoloDetector:
  """Detects as the task's evaluation does: same resizing, same network, same suppression.

  Args:
    task: the configuration; of its data, only whether evaluation keeps the aspect ratio counts.
    checkpoint: prefix of a checkpoint of the network.
    batch_size: how many images the network takes at a time.

  Raises:
    UserError: the checkpoint cannot be read, or is of another network.
  """

  def __init__(self, task: YoloTask, checkpoint: str, batch_size: int) -> None:
    self._size, self._batch_size = task.model.input_size, batch_size
    self._letterbox = task.validation_data.letterbox
    self._model = build_yolo(task.model)
    weights.load(self._model, checkpoint)

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

  @tf.function(input_signature=[_IMAGE])
  def _fit(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return geometry.fitting(self._letterbox)(image, self._size)

  @tf.function
  def _run(self, images: tf.Tensor, infos: tf.Tensor, sizes: tf.Tensor) -> dict[str, tf.Tensor]:
    """Images [b, s, s, 3], `image_info` [b, 4], heights and widths [b, 2] → `nms.detect`'s."""
    detections = self._model(images, training=False)["detections"]
    return detections | {"boxes": to_image_pixels(detections["boxes"], infos, sizes)}
