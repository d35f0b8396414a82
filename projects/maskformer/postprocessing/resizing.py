"""Logits brought to the original image's size, a few rows at a time.

The original resizes twice: from the network's stride to the padded input, and, after the padding is
cut off, to the size that the image had before it was made fit for the network; both bilinear, with
half-pixel centres. At 800x1088 the values between the two take 350 MB for 100 queries, so here both
steps are done for the rows that are asked for, and only for them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

Size = tuple[int, int] | tf.Tensor
Rows = Callable[[tf.Tensor], tf.Tensor]

_STRIPE = 16  # Rows at a time: with 100 queries and a width of 640, 4 MB of float32.


class Frame(NamedTuple):
  """Where an image lies in the network's input; each (height, width) in pixels, or [2] int32.

  Attributes:
    padded: of the input.
    image: of the image, which fills the input's upper left corner.
    original: of the image before it was resized for the network; what comes out has this size.
  """

  padded: Size
  image: Size
  original: Size


class _Taps(NamedTuple):
  """For each target position two source positions [t] int32, and the second one's weight [t]."""

  low: tf.Tensor
  high: tf.Tensor
  weight: tf.Tensor

  def at(self, rows: tf.Tensor) -> "_Taps":
    return _Taps(*(tf.gather(part, rows) for part in self))


def rows_of(
  logits: tf.Tensor, frame: Frame, between: Callable[[tf.Tensor], tf.Tensor] = tf.identity
) -> Rows:
  """Prepares logits for being resized by rows.

  Args:
    logits: [h, w, c] float, of the whole padded input.
    frame: of the image.
    between: what is applied after the first resize, to each pixel by itself: [r, w, c] → [r, w, d].

  Returns:
    from rows [r] int32 of the original image → its values there, [r, original width, d].
  """
  shape, dtype = tf.shape(logits), logits.dtype
  (first_y, first_x), (second_y, second_x) = (
    [_taps(source[axis], target[axis], dtype) for axis in (0, 1)]
    for source, target in ((shape, frame.padded), (frame.image, frame.original))
  )
  wide = _blend(logits, first_x.at(tf.range(frame.image[1])), axis=1)

  def rows(wanted: tf.Tensor) -> tf.Tensor:
    second = second_y.at(wanted)
    inputs = tf.concat([second.low, second.high], axis=0)  # [2r], rows of the input
    values = between(_blend(wide, first_y.at(inputs), axis=0))
    low, high = tf.split(_blend(values, second_x, axis=1), 2)
    weight = second.weight[:, None, None]
    return low * (1 - weight) + high * weight

  return rows


def by_stripes(rows: Callable[[tf.Tensor], Any], frame: Frame, dtypes: Any) -> Any:
  """Computes an image stripe by stripe.

  Args:
    rows: from rows [r] int32 of the original image → what is wanted of them, one or more [r, ...].
    frame: of the image; only its original size counts.
    dtypes: of what is wanted, in the same structure.

  Returns:
    [original height, ...], in the same structure.
  """
  height = frame.original[0]
  stripe = tf.range(_STRIPE)

  # The last stripe repeats the last row, which is then cut off.
  def at(start: tf.Tensor) -> Any:
    return rows(tf.minimum(start + stripe, height - 1))

  def join(parts: tf.Tensor) -> tf.Tensor:
    return tf.reshape(parts, tf.concat([[-1], tf.shape(parts)[2:]], axis=0))[:height]

  stripes = tf.map_fn(at, tf.range(0, height, _STRIPE), fn_output_signature=dtypes)
  return tf.nest.map_structure(join, stripes)


def _taps(source: int | tf.Tensor, target: int | tf.Tensor, dtype: tf.DType) -> _Taps:
  """Bilinear interpolation of `source` values to `target`, half-pixel centres, ends repeated.

  As in PyTorch, scale and position are rounded to `dtype`, each once: in float32 the positions in a
  row of 800 are off by up to 6e-5, and so would be logits between them if these were exact.
  """
  scale = tf.cast(tf.cast(source, dtype) / tf.cast(target, dtype), tf.float64)
  centres = scale * (tf.cast(tf.range(target), tf.float64) + 0.5) - 0.5
  position = tf.maximum(tf.cast(centres, dtype), 0)
  low = tf.minimum(tf.cast(position, tf.int32), source - 1)
  return _Taps(low, tf.minimum(low + 1, source - 1), position - tf.cast(low, dtype))


def _blend(values: tf.Tensor, taps: _Taps, axis: int) -> tf.Tensor:
  """Interpolates along `axis` 0 or 1 of `values` [h, w, c]."""
  weight = tf.reshape(taps.weight, [-1, 1, 1] if axis == 0 else [1, -1, 1])
  low, high = (tf.gather(values, indices, axis=axis) for indices in (taps.low, taps.high))
  return low * (1 - weight) + high * weight
