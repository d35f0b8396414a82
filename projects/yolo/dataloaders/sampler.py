"""Training images from groups of examples: mosaic, mixup, affine map, mirror, colour.

Examples come in groups, and only members of a group are mixed. A group of g gives g outputs: output
j has example j as its first tile, and three others of the group, at distances that are drawn for
the group. So each example is decoded once and shown four times; in mosaics of nine likewise.

Deviations from Scaled-YOLOv4, where an image's other three tiles come from the whole data set and
each is decoded again:
  * outputs of one group share tiles, in other cuts and scales; the examples of a group are random;
  * both images of a mixup are mirrored, each by its own draw.
"""

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from official.cli.errors import UserError
from official.training import pixels
from projects.yolo.configs.data import Augmentation
from projects.yolo.ops import affine as affine_lib
from projects.yolo.ops import boxes as boxes_lib
from projects.yolo.ops import color, geometry, mosaic, mosaic_nine

Example = Mapping[str, tf.Tensor]


class Draws(NamedTuple):
  """Uniform random numbers in [0, 1) for g outputs, each [g, n] with the n given here."""

  mosaic: tf.Tensor  # 1
  neighbours: tf.Tensor  # 1
  centre: tf.Tensor  # 2
  jitter: tf.Tensor  # 8
  scale: tf.Tensor  # 1
  translate: tf.Tensor  # 2
  degrees: tf.Tensor  # 1
  shear: tf.Tensor  # 2
  flip: tf.Tensor  # 1
  mixup: tf.Tensor  # 1
  share: tf.Tensor  # 15
  color: tf.Tensor  # 3


_COUNTS = (1, 1, 2, 8, 1, 2, 1, 2, 1, 1, 15, 3)

# None is zero, or the empty string.
_FILLERS = {"encoded": None, "shape": None, "boxes": None, "classes": -1, "seed": None}


class Objects(NamedTuple):
  """What is to be found in g outputs: boxes [g, n, 4] in pixels, classes [g, n], valid [g, n]."""

  boxes: tf.Tensor
  classes: tf.Tensor
  valid: tf.Tensor


class GroupSampler:
  """Turns a dataset of decoded examples into one of (image, labels).

  Args:
    config: what to do.
    size: side of the images in pixels.
    max_boxes: room for boxes.

  Raises:
    UserError: the group is too small for what is to be done.
  """

  def __init__(self, config: Augmentation, size: int, max_boxes: int) -> None:
    _check(config)
    self._config, self._size, self._max_boxes = config, size, max_boxes
    self._upright = config.degrees == 0 and config.shear == 0

  def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
    """image [s, s, 3] uint8; labels boxes [n, 4] normalized, classes [n], valid [n]."""
    dataset = dataset.map(_select, num_parallel_calls=tf.data.AUTOTUNE)
    groups = dataset.padded_batch(
      self._config.group_size, padding_values=_FILLERS, drop_remainder=True
    )
    # Loops are unrolled here: AutoGraph would only slow down the tracing.
    sample = tf.autograph.experimental.do_not_convert(self.sample)
    return groups.map(sample, num_parallel_calls=tf.data.AUTOTUNE).unbatch()

  def sample(self, group: Example) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """A group of outputs.

    Args:
      group: encoded [g] string; shape [g, 2] int32; boxes [g, n, 4] float32, normalized; classes
        [g, n] int32, -1 where there is no box; seed [g, 2] int64, of which the first counts.

    Returns:
      images [g, s, s, 3] uint8; labels boxes [g, max_boxes, 4], classes and valid [g, max_boxes].
    """
    draws = _draw(self._config.group_size, group["seed"][0])
    is_nine = self._are_nine(draws, group["seed"][0])
    shape = tf.cast(group["shape"], tf.float32)
    # The longer side of a tile is as long as the input, before it is zoomed.
    ratio = self._size / tf.reduce_max(shape, 1)
    placements = self._place(shape * ratio[:, None], draws, is_nine)
    affine = self._affine(draws)
    pictures = self._decode(group["encoded"], shape, ratio)
    images = self._render(pictures, placements, affine, is_nine)
    objects = _joined([self._objects(group, each, affine) for each in placements])
    if self._config.mixup > 0:
      images, objects = self._mix(images, objects, draws)
    images = self._adjust_colors(images, draws)
    boxes, classes, valid = geometry.pack(*objects, self._max_boxes)
    return tf.stack(images), {"boxes": boxes / self._size, "classes": classes, "valid": valid}

  def _are_nine(self, draws: Draws, seed: tf.Tensor) -> tf.Tensor:
    """Which outputs are mosaics of nine, [g] bool."""
    seed = tf.random.experimental.stateless_fold_in(seed, 9)
    chosen = tf.random.stateless_uniform([self._config.group_size], seed)
    is_mosaic = draws.mosaic[:, 0] < self._config.mosaic
    return is_mosaic & (chosen < self._config.mosaic_nine)

  def _place(self, extents: tf.Tensor, draws: Draws, is_nine: tf.Tensor) -> list[mosaic.Placement]:
    """Lays out tiles whose unjittered extents are [g, 2]: four, and where there are such, nine."""
    four = self._sources(draws, 4)
    stretch = 1 + self._config.jitter * _signed(tf.reshape(draws.jitter, [-1, 4, 2]))
    placement = mosaic.place(
      sources=four,
      extent=tf.gather(extents, four) * stretch,
      centre=self._size / 2 * _signed(draws.centre),
      is_mosaic=draws.mosaic[:, 0] < self._config.mosaic,
    )
    if not self._config.mosaic_nine:
      return [placement]
    nine = self._sources(draws, 9)
    offset = self._size * draws.centre
    return [
      placement._replace(used=placement.used & ~is_nine[:, None]),
      mosaic_nine.place(nine, tf.gather(extents, nine), offset, is_nine),
    ]

  def _sources(self, draws: Draws, tiles: int) -> tf.Tensor:
    """Which examples are the tiles, [g, tiles]: with `mosaic`, each example is so as many times."""
    size = self._config.group_size
    distances = [0] * tiles
    if self._config.mosaic > 0:
      others = tf.argsort(draws.neighbours[1:, 0])[: tiles - 1] + 1
      distances = tf.concat([[0], others], 0)
    return (tf.range(size)[:, None] + distances) % size

  def _affine(self, draws: Draws) -> affine_lib.Affine:
    config = self._config
    return affine_lib.compose(
      scale=1 + config.scale * _signed(draws.scale[:, 0]),
      degrees=config.degrees * _signed(draws.degrees[:, 0]),
      shear=config.shear * _signed(draws.shear),
      translate=config.translate * _signed(draws.translate),
      flip=draws.flip[:, 0] < config.flip,
      size=self._size,
    )

  def _decode(self, encoded: tf.Tensor, shape: tf.Tensor, ratio: tf.Tensor) -> mosaic.Pictures:
    """Decodes [g] images for tiles of `ratio` times their size, before the zoom."""
    largest = ratio * (1 + self._config.scale) * (1 + self._config.jitter)
    pairs = zip(tf.unstack(encoded), tf.unstack(largest), strict=True)
    decoded = [pixels.decode_fast(*pair) for pair in pairs]
    images = tf.TensorArray(tf.uint8, len(decoded), clear_after_read=False, infer_shape=False)
    for index, image in enumerate(decoded):
      images = images.write(index, mosaic.with_border(image))
    stored = tf.cast(tf.stack([tf.shape(image)[:2] for image in decoded]), tf.float32)
    shrunk = tf.round(tf.reduce_max(shape, 1) / tf.reduce_max(stored, 1))
    return mosaic.Pictures(images, stored, shape / shrunk[:, None])

  def _render(
    self,
    pictures: mosaic.Pictures,
    placements: list[mosaic.Placement],
    affine: affine_lib.Affine,
    is_nine: tf.Tensor,
  ) -> list[tf.Tensor]:
    """Images [s, s, 3] float32."""
    if self._upright:
      return _draw_all(pictures, placements, affine, is_nine, self._size)
    size = 2 * self._size
    to_canvas = affine_lib.centred(self._config.group_size, size)
    canvases = _draw_all(pictures, placements, to_canvas, is_nine, size)
    maps = zip(tf.unstack(affine.linear), tf.unstack(affine.shift), strict=True)
    return [
      affine_lib.warp(canvas, affine_lib.Affine(*each), self._size, geometry.PAD_VALUE)
      for canvas, each in zip(canvases, maps, strict=True)
    ]

  def _objects(
    self, group: Example, placement: mosaic.Placement, affine: affine_lib.Affine
  ) -> Objects:
    on_canvas = mosaic.place_boxes(placement, group["boxes"])
    area = boxes_lib.area(on_canvas) * tf.abs(tf.linalg.det(affine.linear))[:, None]
    classes = tf.gather(group["classes"], placement.sources)  # [g, t, n]
    valid = placement.used[..., None] & (classes >= 0)
    classes, valid = (tf.reshape(each, tf.shape(area)) for each in (classes, valid))
    moved = affine_lib.apply_to_boxes(affine, on_canvas)
    boxes, valid = geometry.clip_visible(moved, valid, area, self._size)
    return Objects(boxes, classes, valid)

  def _mix(
    self, images: list[tf.Tensor], objects: Objects, draws: Draws
  ) -> tuple[list[tf.Tensor], Objects]:
    """Blends some outputs with their successors in the group."""
    mixed = draws.mixup[:, 0] < self._config.mixup
    shares = tf.where(mixed, _beta_8_8(draws.share), 1.0)
    partners = Objects(*(tf.roll(each, -1, 0) for each in objects))
    partners = partners._replace(valid=partners.valid & mixed[:, None])
    blends = [
      image * share + other * (1 - share)
      for image, other, share in zip(
        images, images[1:] + images[:1], tf.unstack(shares), strict=True
      )
    ]
    return blends, _joined([objects, partners])

  def _adjust_colors(self, images: list[tf.Tensor], draws: Draws) -> list[tf.Tensor]:
    config = self._config
    gains = 1 + _signed(draws.color) * [config.hue, config.saturation, config.value]
    pairs = zip(images, tf.unstack(gains), strict=True)
    return [color.adjust_hsv(image, gain) for image, gain in pairs]


def _draw_all(
  pictures: mosaic.Pictures,
  placements: list[mosaic.Placement],
  affine: affine_lib.Affine,
  is_nine: tf.Tensor,
  size: int,
) -> list[tf.Tensor]:
  """Outputs [size, size, 3] float32 by upright maps: of four tiles, or where that is so, nine."""
  four, *nine = placements
  if not nine:
    return mosaic.render(pictures, four, affine, size)
  drawers = (
    tf.unstack(is_nine),
    mosaic_nine.drawers(pictures, *nine, affine, size),
    mosaic.drawers(pictures, four, affine, size),
  )
  return [tf.cond(*each) for each in zip(*drawers, strict=True)]


def _joined(parts: list[Objects]) -> Objects:
  return Objects(*(tf.concat(each, 1) for each in zip(*parts, strict=True)))


def _check(config: Augmentation) -> None:
  needed = 4 if config.mosaic > 0 else 2 if config.mixup > 0 else 1
  if config.mosaic > 0 and config.mosaic_nine > 0:
    needed = 9
  if config.group_size < needed:
    raise UserError(f"augmentation.group_size is {config.group_size}; what is mixed needs {needed}")
  for name in (
    "mosaic",
    "mosaic_nine",
    "mixup",
    "flip",
    "hue",
    "saturation",
    "value",
    "scale",
    "jitter",
  ):
    value = getattr(config, name)
    # A zoom or a side of nought leaves nothing to look at.
    if not 0 <= value <= 1 or (value == 1 and name in ("scale", "jitter")):
      raise UserError(f"augmentation.{name} is {value}; it must lie between 0 and 1")


def _select(example: Example) -> dict[str, tf.Tensor]:
  """What `sample` needs of a decoded example; crowds are no objects."""
  return {
    "encoded": example["encoded"],
    "shape": tf.stack([example["height"], example["width"]]),
    "boxes": example["boxes"],
    "classes": tf.where(example["is_crowd"], -1, example["classes"]),
    "seed": example["seed"],
  }


def _draw(outputs: int, seed: tf.Tensor) -> Draws:
  uniform = tf.random.stateless_uniform([outputs, sum(_COUNTS)], seed)
  return Draws(*tf.split(uniform, _COUNTS, axis=1))


def _beta_8_8(uniform: tf.Tensor) -> tf.Tensor:
  """Numbers [g] distributed as Beta(8, 8): the middle ones of fifteen uniform numbers [g, 15]."""
  return tf.sort(uniform)[:, 7]


def _signed(uniform: tf.Tensor) -> tf.Tensor:
  """[0, 1) to [-1, 1)."""
  return 2 * uniform - 1
