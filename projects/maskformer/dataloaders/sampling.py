"""Random views of training images: resized, cropped, zoomed."""

from collections.abc import Sequence

import tensorflow as tf

from projects.maskformer.configs.data import DataConfig
from projects.maskformer.dataloaders import views
from projects.maskformer.dataloaders.views import View

_TRIES = 10  # Of a crop that must not show too much of one category.
DRAWS = 8 + 2 * _TRIES


def sample(
  params: DataConfig, places: tf.Tensor, classes: tf.Tensor, draws: tf.Tensor
) -> tuple[View, tf.Tensor]:
  """Draws a view of an image, and whether it is mirrored.

  Args:
    params: what may happen.
    places: the segment of each pixel by its place from 1, 0 for void; [h, w] uint8.
    classes: of the segments, [n] int32.
    draws: [DRAWS] float32, uniform in [0, 1).

  Returns:
    the view, and () bool.
  """
  shape, augmentation = tf.shape(places), params.augmentation
  shortest = _pick(params.min_sizes, draws[0])
  resized = views.resized_shape(shape, shortest, params.max_size)
  if augmentation.crop:
    view = _crop(params, places, classes, resized, draws[8:])
  else:
    view = views.whole(shape, resized, params.output_size)
  if augmentation.zoom.probability > 0:
    view = tf.cond(
      draws[2] < augmentation.zoom.probability,
      lambda: _zoom(params, shape, shortest, draws[3:8]),
      lambda: view,
    )
  return view, draws[1] < augmentation.flip


def _zoom(params: DataConfig, shape: tf.Tensor, shortest: tf.Tensor, draws: tf.Tensor) -> View:
  """DETR's: resize, cut a window of random height and width, resize that."""
  zoom = params.augmentation.zoom
  resized = views.resized_shape(shape, _pick(zoom.min_sizes, draws[0]), tf.int32.max)
  low, high = tf.minimum(resized, zoom.low), tf.minimum(resized, zoom.high)
  size = low + _whole(draws[1:3], high - low + 1)
  start, extent = views.window(shape, resized, size, draws[3:5])
  shown = views.resized_shape(size, shortest, params.max_size)
  return View(start, extent, views.fitted(shown, params.output_size))


def _crop(
  params: DataConfig, places: tf.Tensor, classes: tf.Tensor, resized: tf.Tensor, draws: tf.Tensor
) -> View:
  """A window of the resized image; the first of ten without too much of one category."""
  shape, augmentation = tf.shape(places), params.augmentation
  size = tf.minimum(resized, augmentation.crop)
  positions = tf.reshape(draws, [_TRIES, 2])
  chosen = tf.constant(0)
  if augmentation.max_category_area < 1:
    chosen = tf.while_loop(
      lambda at: (
        (at < _TRIES - 1)
        & ~_is_mixed(
          places,
          classes,
          *views.window(shape, resized, size, positions[at]),
          augmentation.max_category_area,
        )
      ),
      lambda at: [at + 1],
      [chosen],
    )[0]
  start, extent = views.window(shape, resized, size, positions[chosen])
  return View(start, extent, views.fitted(size, params.output_size))


def _is_mixed(
  places: tf.Tensor, classes: tf.Tensor, start: tf.Tensor, size: tf.Tensor, most: float
) -> tf.Tensor:
  """Whether no category has `most` of the window's labelled pixels, or more; void counts not."""
  seen = places[start[0] : start[0] + size[0], start[1] : start[1] + size[1]]
  count = tf.shape(classes)[0]
  area = tf.math.bincount(tf.cast(seen, tf.int32), minlength=count + 1)[1:]
  alike = tf.cast(classes[:, None] == classes, tf.int32)  # [n, n]; several segments, one category.
  largest = tf.reduce_max(tf.concat([tf.linalg.matvec(alike, area), [0]], 0))
  total = tf.cast(tf.reduce_sum(area), tf.float32)
  return tf.cast(largest, tf.float32) < most * total


def _pick(values: Sequence[int], draw: tf.Tensor) -> tf.Tensor:
  return tf.gather(tf.constant(values, tf.int32), _whole(draw, len(values)))


def _whole(draws: tf.Tensor, count: tf.Tensor | int) -> tf.Tensor:
  """Uniform numbers in [0, 1) to whole ones from 0 to `count` - 1."""
  return tf.cast(draws * tf.cast(count, tf.float32), tf.int32)
