"""From a network's outputs for an image to segments, labels or instances, on the host.

Images differ in size; the functions are traced once for all of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from projects.maskformer.configs.maskformer import Inference
from projects.maskformer.postprocessing import instance, panoptic, semantic
from projects.maskformer.postprocessing.resizing import Frame, Rows
from projects.maskformer.postprocessing.test_time import average_scores

Outputs = Mapping[str, np.ndarray | tf.Tensor]
Size = Sequence[int]


class Segments(NamedTuple):
  """A panoptic segmentation.

  Attributes:
    ids: the segment of each pixel [h, w] int32, from 1; 0 is void.
    classes: of the segments 1, 2, … [n] int32.
    scores: [n] float32 in 0..1.
  """

  ids: np.ndarray
  classes: np.ndarray
  scores: np.ndarray


class View(NamedTuple):
  """What a network said to one view of an image; attributes as arguments of `segments`."""

  outputs: Outputs
  padded: Size
  shown: Size


class Masks(NamedTuple):
  """Instances, the best first: `masks` [h, w, n] bool, `classes` [n], `scores` [n] in 0..1."""

  masks: np.ndarray
  classes: np.ndarray
  scores: np.ndarray


class PostProcessing:
  """The original's rules, for one image at a time.

  Args:
    things: for each class whether it is a thing.
    thresholds: of the rules.
    resize_masks: for semantic labels, whether masks are brought to the image's size and not the
      sums over them; as the original does for models that segment panoptically too.
  """

  def __init__(self, things: Sequence[bool], thresholds: Inference, resize_masks: bool) -> None:
    self._things = tf.constant(things, tf.bool)
    self._thresholds, self._resize_masks = thresholds, resize_masks
    sizes = [tf.TensorSpec([2], tf.int32)] * 3
    logits = tf.TensorSpec([None, None]), tf.TensorSpec([None, None, None])
    self._panoptic = tf.function(self._segment, [*logits, *sizes], autograph=False)
    self._instances = tf.function(self._detect, [*logits, *sizes], autograph=False)
    self._labels = tf.function(self._label, [*logits, *sizes], autograph=False)
    self._pixels = tf.function(self._label_pixels, [logits[1], *sizes], autograph=False)
    self._scores = tf.function(self._score, [*logits, *sizes], autograph=False)
    self._pixel_scores = tf.function(self._score_pixels, [logits[1], *sizes], autograph=False)

  def segments(self, outputs: Outputs, padded: Size, shown: Size, original: Size) -> Segments:
    """Segments of one image.

    Args:
      outputs: the network's for this image: `class_logits` [q, c + 1], `mask_logits` [q, h, w].
      padded: height and width of the network's input.
      shown: of the image in it, at its upper left.
      original: of the image, and of what is returned.
    """
    logits = outputs["class_logits"], outputs["mask_logits"]
    found = self._panoptic(*logits, *_int32(padded, shown, original))
    count = int(found.count)
    return Segments(found.ids.numpy(), found.classes.numpy()[:count], found.scores.numpy()[:count])

  def labels(self, outputs: Outputs, padded: Size, shown: Size, original: Size) -> np.ndarray:
    """The class of each pixel [h, w] int32; arguments as of `segments`, or a baseline's outputs."""
    sizes = _int32(padded, shown, original)
    if "semantic_logits" in outputs:
      return self._pixels(outputs["semantic_logits"], *sizes).numpy()
    return self._labels(outputs["class_logits"], outputs["mask_logits"], *sizes).numpy()

  def average_labels(self, views: Iterable[View], original: Size) -> np.ndarray:
    """The class of each pixel [h, w] int32 by the mean over views, see `average_scores`.

    Scores of all classes are held for the whole image, twice.
    """
    scores = average_scores(self._scores_of(view, original) for view in views)
    return scores.argmax(-1).astype(np.int32)

  def _scores_of(self, view: View, original: Size) -> np.ndarray:
    outputs, sizes = view.outputs, _int32(view.padded, view.shown, original)
    if "semantic_logits" in outputs:
      return self._pixel_scores(outputs["semantic_logits"], *sizes).numpy()
    return self._scores(outputs["class_logits"], outputs["mask_logits"], *sizes).numpy()

  def instances(self, outputs: Outputs, padded: Size, shown: Size, original: Size) -> Masks:
    """Things, each by itself; arguments as of `segments`."""
    logits = outputs["class_logits"], outputs["mask_logits"]
    found = self._instances(*logits, *_int32(padded, shown, original))
    order = np.argsort(-found.scores.numpy(), kind="stable")[: self._thresholds.max_instances]
    queries = found.queries.numpy()[order]
    return Masks(
      found.masks.numpy()[..., queries], found.classes.numpy()[order], found.scores.numpy()[order]
    )

  def _segment(
    self, classes: tf.Tensor, masks: tf.Tensor, *sizes: tf.Tensor
  ) -> panoptic.Segmentation:
    limits = self._thresholds
    classes, masks = panoptic.confident(classes, masks, limits.object_threshold)
    thresholds = limits.object_threshold, limits.overlap_threshold
    return panoptic.panoptic(classes, masks, Frame(*sizes), self._things, *thresholds)

  def _detect(self, classes: tf.Tensor, masks: tf.Tensor, *sizes: tf.Tensor) -> instance.Instances:
    return instance.instances(classes, masks, Frame(*sizes), self._things)

  def _label(self, classes: tf.Tensor, masks: tf.Tensor, *sizes: tf.Tensor) -> tf.Tensor:
    return semantic.labels(self._rows(classes, masks, *sizes), Frame(*sizes))

  def _label_pixels(self, logits: tf.Tensor, *sizes: tf.Tensor) -> tf.Tensor:
    return semantic.labels(semantic.per_pixel_rows(logits, Frame(*sizes)), Frame(*sizes))

  def _score(self, classes: tf.Tensor, masks: tf.Tensor, *sizes: tf.Tensor) -> tf.Tensor:
    return semantic.scores(self._rows(classes, masks, *sizes), Frame(*sizes))

  def _score_pixels(self, logits: tf.Tensor, *sizes: tf.Tensor) -> tf.Tensor:
    return semantic.scores(semantic.per_pixel_rows(logits, Frame(*sizes)), Frame(*sizes))

  def _rows(self, classes: tf.Tensor, masks: tf.Tensor, *sizes: tf.Tensor) -> Rows:
    return semantic.semantic_rows(classes, masks, Frame(*sizes), self._resize_masks)


def _int32(*sizes: Size) -> list[np.ndarray]:
  return [np.asarray(size, np.int32) for size in sizes]
