"""Affine maps of the plane, in (y, x) order: point -> linear [2, 2] point + shift [2]."""

import math
from typing import NamedTuple

import tensorflow as tf


class Affine(NamedTuple):
  """A batch of maps: linear [..., 2, 2] and shift [..., 2], float32, both in (y, x) order."""

  linear: tf.Tensor
  shift: tf.Tensor


def compose(
  scale: tf.Tensor,
  degrees: tf.Tensor,
  shear: tf.Tensor,
  translate: tf.Tensor,
  flip: tf.Tensor,
  size: int,
) -> Affine:
  """The random map of Scaled-YOLOv4, from a canvas whose origin is its centre to the s x s input.

  Rotation and scale first, then shear, translation, and the mirror.

  Args:
    scale: [g] factor.
    degrees: [g] angle of rotation, counter-clockwise as seen.
    shear: [g, 2] angles of shear in degrees, of y against x and of x against y.
    translate: [g, 2] where the canvas's centre goes, relative to the input's centre, in units of
      the input's size.
    flip: [g] bool, mirror left to right.
    size: side of the input, s, in pixels.
  """
  angle, (shear_y, shear_x) = degrees * _RADIAN, tf.unstack(tf.tan(shear * _RADIAN), axis=-1)
  cos, sin, one = scale * tf.cos(angle), scale * tf.sin(angle), tf.ones_like(scale)
  rotation = _matrix(cos, -sin, sin, cos)
  linear = _matrix(one, shear_y, shear_x, one) @ rotation
  mirror = tf.stack([one, tf.where(flip, -1.0, 1.0)], -1)
  shift = size * (0.5 + mirror * translate)
  return Affine(mirror[..., None] * linear, shift)


def centred(count: int, size: int) -> Affine:
  """`count` maps that only move the origin from the centre of a square to its corner."""
  return Affine(tf.eye(2, batch_shape=[count]), tf.fill([count, 2], size / 2))


def apply_to_boxes(affine: Affine, boxes: tf.Tensor) -> tf.Tensor:
  """The tightest upright boxes around the images of boxes [g, n, 4], yxyx, of maps [g]."""
  low, high = tf.split(boxes, 2, axis=-1)
  centre = tf.einsum("gij,gnj->gni", affine.linear, (low + high) / 2) + affine.shift[:, None]
  half = tf.einsum("gij,gnj->gni", tf.abs(affine.linear), (high - low) / 2)
  return tf.concat([centre - half, centre + half], -1)


def warp(image: tf.Tensor, affine: Affine, size: int, fill: int) -> tf.Tensor:
  """Moves pixels [h, w, 3] by one map, from the image's centre, to [size, size, 3]; float32."""
  inverse = tf.linalg.inv(affine.linear)
  centre = tf.cast(tf.shape(image)[:2], tf.float32) / 2
  # Pixel i has its centre at i + 1/2.
  shift = tf.linalg.matvec(inverse, 0.5 - affine.shift) + centre - 0.5
  rows = tf.reverse(tf.concat([tf.reverse(inverse, [1]), shift[:, None]], 1), [0])
  warped = tf.raw_ops.ImageProjectiveTransformV3(
    images=image[None],
    transforms=tf.reshape(tf.concat([tf.reshape(rows, [6]), [0.0, 0.0]], 0), [1, 8]),
    output_shape=[size, size],
    fill_value=float(fill),
    interpolation="BILINEAR",
    fill_mode="CONSTANT",
  )
  return tf.ensure_shape(warped[0], [size, size, 3])


_RADIAN = math.pi / 180


def _matrix(a: tf.Tensor, b: tf.Tensor, c: tf.Tensor, d: tf.Tensor) -> tf.Tensor:
  return tf.stack([tf.stack([a, b], -1), tf.stack([c, d], -1)], -2)
