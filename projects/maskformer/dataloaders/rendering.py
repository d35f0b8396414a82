"""A view's pixels and segments, sampled on the same grid.

Output pixel i shows the source from start + i * size / output to start + (i + 1) * size / output.
The image is averaged where it shrinks and interpolated where it grows; the segments are those at
the middle of each output pixel (PIL's nearest).
"""

import functools

import tensorflow as tf

from official.training import pixels
from projects.maskformer.dataloaders import views
from projects.maskformer.dataloaders.views import View

GREY = 128
_RATIOS = (1, 2, 4, 8)  # By which a JPEG can be shrunk while it is decoded.


def image(encoded: tf.Tensor, view: View, shape: tf.Tensor) -> tuple[tf.Tensor, View]:
  """The pixels of a view, and the view with its window as it could be decoded.

  Args:
    encoded: () string, JPEG or PNG.
    view: what to show.
    shape: of the source, [2] int32.

  Returns:
    [h, w, 3] float32, levels from 0 to 255, and the view whose window has been aligned to the
    blocks by which a JPEG was shrunk.
  """
  shrinks = tf.reduce_max(view.output / view.size)
  power = tf.reduce_sum(tf.cast(shrinks <= [1 / 2, 1 / 4, 1 / 8], tf.int32))
  is_jpeg = tf.io.is_jpeg(encoded)
  ratio = tf.where(is_jpeg & tf.reduce_all(shape >= 8), tf.bitwise.left_shift(1, power), 1)
  view = views.aligned(view, shape, ratio)
  readers = [functools.partial(_read_jpeg, encoded, view, each) for each in _RATIOS]
  readers.append(lambda: _cut(pixels.decode(encoded), view.start, view.size))
  branch = tf.where(is_jpeg, tf.reduce_sum(tf.cast(ratio >= [2, 4, 8], tf.int32)), len(_RATIOS))
  return resize(tf.switch_case(branch, readers), view.output), view


def resize(source: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
  """[h, w, 3] uint8 to float32 of [2] `shape`: area averages where it shrinks, else bilinear."""
  resized = tf.cond(
    tf.reduce_any(shape < tf.shape(source)[:2]),
    lambda: tf.image.resize(source, shape, tf.image.ResizeMethod.AREA),
    lambda: tf.image.resize(source, shape, tf.image.ResizeMethod.BILINEAR),
  )
  return tf.ensure_shape(resized, [None, None, 3])


def segments(places: tf.Tensor, view: View, mirrored: tf.Tensor | bool = False) -> tf.Tensor:
  """The segments of a view.

  Args:
    places: of the whole source, [h, w] uint8.
    view: what to show.
    mirrored: () bool, whether left is right.

  Returns:
    [h, w] uint8 of the view's output size.
  """
  rows, columns = (
    start + (2 * tf.range(output) + 1) * size // (2 * output)
    for start, size, output in zip(*map(tf.unstack, view), strict=True)
  )
  columns = tf.where(mirrored, tf.reverse(columns, [0]), columns)
  # Rows are gathered whole, which is several times faster than pixels.
  return tf.transpose(tf.gather(tf.transpose(tf.gather(places, rows)), columns))


def pad(values: tf.Tensor, room: tuple[int, int], filler: int) -> tf.Tensor:
  """Fills [h, w, ...] up to [*room, ...], below and on the right."""
  missing = tf.constant(room) - tf.shape(values)[:2]
  margins = [[0, missing[0]], [0, missing[1]]] + [[0, 0]] * (values.shape.rank - 2)
  padded = tf.pad(values, margins, constant_values=tf.cast(filler, values.dtype))
  return tf.ensure_shape(padded, [*room, *values.shape[2:]])


def _read_jpeg(encoded: tf.Tensor, view: View, ratio: int) -> tf.Tensor:
  if ratio == 1:
    place = tf.concat([view.start, view.size], 0)
    return tf.image.decode_and_crop_jpeg(encoded, place, channels=3, dct_method="INTEGER_ACCURATE")
  shrunk = tf.io.decode_jpeg(encoded, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")
  return _cut(shrunk, view.start // ratio, view.size // ratio)


def _cut(source: tf.Tensor, start: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
  return source[start[0] : start[0] + size[0], start[1] : start[1] + size[1]]
