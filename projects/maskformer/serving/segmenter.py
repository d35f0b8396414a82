"""MaskFormers that take images of any size and answer in their pixels."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from official.datasets.annotations import Category
from official.dossiers.dossier import Segmentation
from official.serving import weights
from projects.maskformer.configs.data import DataConfig
from projects.maskformer.configs.maskformer import MaskFormerTask
from projects.maskformer.dataloaders import many_views, views
from projects.maskformer.dataloaders.normalization import normalize
from projects.maskformer.modeling.factory import build_maskformer
from projects.maskformer.serving.inference import View
from projects.maskformer.tasks.evaluation import post_processing

Fitted = tuple[tf.Tensor, tf.Tensor]  # What the network sees, and the image's size in it.

_IMAGE = tf.TensorSpec([None, None, 3], tf.uint8)


class MaskFormerSegmenter:
  """Segments as the task's evaluation does: same resizing, same canvas, same network, same rules.

  With `many_views`, or of a baseline that classifies pixels, a segment is what has one label.

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
    data, self._batch_size = task.validation_data, batch_size
    self._many = data.many_views.enabled
    self._canvases = many_views.canvases(data) if self._many else [data.output_size]
    self._processing = post_processing(task, categories)
    look = fit_views if self._many else lambda image, data: [fit(image, data)]
    self._fit = tf.function(lambda image: look(image, data), [_IMAGE], autograph=False)

  def segment(self, images: Sequence[np.ndarray]) -> list[Segmentation]:
    """What is in each of the images, see `official.dossiers.dossier.Segmenter`."""
    starts = range(0, len(images), self._batch_size)
    batches = (images[start : start + self._batch_size] for start in starts)
    return [found for batch in batches for found in self._segment_batch(batch)]

  def _segment_batch(self, images: Sequence[np.ndarray]) -> list[Segmentation]:
    # A short batch is filled up, lest the network be traced anew.
    filled = [images[row] if row < len(images) else images[0] for row in range(self._batch_size)]
    seen = zip(*(self._fit(image) for image in filled), strict=True)  # By view, then by image.
    found = [self._look(each, room) for each, room in zip(seen, self._canvases, strict=True)]
    return [
      self._segments([views[row] for views in found], image) for row, image in enumerate(images)
    ]

  def _look(self, seen: Sequence[Fitted], canvas: Sequence[int]) -> list[View]:
    """What the network says to one view of each image of a batch."""
    inputs, shown = zip(*seen, strict=True)
    outputs = {key: value.numpy() for key, value in self._run(tf.stack(inputs)).items()}
    return [
      View({key: values[row] for key, values in outputs.items()}, canvas, each)
      for row, each in enumerate(shown)
    ]

  def _segments(self, views: Sequence[View], image: np.ndarray) -> Segmentation:
    size = image.shape[:2]
    if self._many:
      labels = self._processing.average_labels(views, size)
    elif "semantic_logits" in views[0].outputs:
      labels = self._processing.labels(*views[0], size)
    else:
      return Segmentation(*self._processing.segments(*views[0], size))
    present, places = np.unique(labels, return_inverse=True)
    ids = (places.reshape(image.shape[:2]) + 1).astype(np.int32)
    return Segmentation(ids, present, np.ones(len(present), np.float32))

  @tf.function
  def _run(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
    return dict(self._model(images, training=False))


def fit(image: tf.Tensor, data: DataConfig) -> Fitted:
  """An image as evaluation feeds it to the network.

  Args:
    image: [h, w, 3] uint8.
    data: of the evaluation.

  Returns:
    [*output_size, 3] float32, normalized, zero where there is no image; and height and width [2]
    int32 of the image in it, at its upper left.
  """
  return _normalized(many_views.framed(_resized(image, data), data.output_size))


def fit_views(image: tf.Tensor, data: DataConfig) -> list[Fitted]:
  """The views of an image over which scores are averaged, each as `fit` gives the image."""
  return [_normalized(view) for view in many_views.make_views(_resized(image, data), data)]


def _resized(image: tf.Tensor, data: DataConfig) -> tf.Tensor:
  shown = views.resized_shape(tf.shape(image)[:2], data.min_sizes[0], data.max_size)
  return many_views.resize(image, views.fitted(shown, data.output_size))


def _normalized(view: many_views.Framed) -> Fitted:
  return normalize(view.image[None], view.padding[None])[0], view.shown
