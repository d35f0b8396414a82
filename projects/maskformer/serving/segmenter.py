"""MaskFormers that take images of any size and answer in their pixels."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from official.datasets.annotations import Category
from official.dossiers.dossier import Segmentation
from official.serving import weights
from projects.maskformer.configs.data import DataConfig
from projects.maskformer.configs.maskformer import MaskFormerTask
from projects.maskformer.dataloaders import rendering, views
from projects.maskformer.dataloaders.normalization import normalize
from projects.maskformer.modeling.factory import build_maskformer
from projects.maskformer.tasks.evaluation import post_processing

_IMAGE = tf.TensorSpec([None, None, 3], tf.uint8)


class MaskFormerSegmenter:
  """Segments as the task's evaluation does: same resizing, same canvas, same network, same rules.

  Args:
    task: the configuration; of its data only sizes count.
    checkpoint: prefix of a checkpoint of the network.
    batch_size: how many images the network takes at a time.
    categories: by class.

  Raises:
    UserError: the checkpoint cannot be read, or is of another network.
  """

  def __init__(
    self, task: MaskFormerTask, checkpoint: str, batch_size: int, categories: Sequence[Category]
  ) -> None:
    self._model = build_maskformer(task.model)
    weights.load(self._model, checkpoint)
    self._canvas, self._batch_size = task.validation_data.output_size, batch_size
    self._processing = post_processing(task, categories)
    data = task.validation_data
    self._fit = tf.function(lambda image: fit(image, data), [_IMAGE], autograph=False)

  def segment(self, images: Sequence[np.ndarray]) -> list[Segmentation]:
    """What is in each of the images, see `official.dossiers.dossier.Segmenter`."""
    starts = range(0, len(images), self._batch_size)
    batches = (images[start : start + self._batch_size] for start in starts)
    return [found for batch in batches for found in self._segment_batch(batch)]

  def _segment_batch(self, images: Sequence[np.ndarray]) -> list[Segmentation]:
    # A short batch is filled up, lest the network be traced anew.
    filled = [images[row] if row < len(images) else images[0] for row in range(self._batch_size)]
    inputs, shown = zip(*(self._fit(image) for image in filled), strict=True)
    outputs = {key: value.numpy() for key, value in self._run(tf.stack(inputs)).items()}
    return [
      self._segments({key: values[row] for key, values in outputs.items()}, shown[row], image)
      for row, image in enumerate(images)
    ]

  def _segments(
    self, outputs: dict[str, np.ndarray], shown: tf.Tensor, image: np.ndarray
  ) -> Segmentation:
    sizes = self._canvas, shown, image.shape[:2]
    if "semantic_logits" not in outputs:
      return Segmentation(*self._processing.segments(outputs, *sizes))
    present, places = np.unique(self._processing.labels(outputs, *sizes), return_inverse=True)
    ids = (places.reshape(image.shape[:2]) + 1).astype(np.int32)
    return Segmentation(ids, present, np.ones(len(present), np.float32))

  @tf.function
  def _run(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
    return dict(self._model(images, training=False))


def fit(image: tf.Tensor, data: DataConfig) -> tuple[tf.Tensor, tf.Tensor]:
  """An image as evaluation feeds it to the network.

  Args:
    image: [h, w, 3] uint8.
    data: of the evaluation.

  Returns:
    [*output_size, 3] float32, normalized, zero where there is no image; and height and width [2]
    int32 of the image in it, at its upper left.
  """
  shape = tf.shape(image)[:2]
  shown = views.resized_shape(shape, data.min_sizes[0], data.max_size)
  shown = views.fitted(shown, data.output_size)
  room = tuple(data.output_size)
  resized = tf.cast(tf.image.resize(image, shown, antialias=True) + 0.5, tf.uint8)
  inside = rendering.pad(tf.ones(shown, tf.bool), room, 0)
  padded = rendering.pad(tf.ensure_shape(resized, [None, None, 3]), room, 0)
  return normalize(padded[None], inside[None])[0], shown
