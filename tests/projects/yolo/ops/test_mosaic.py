"""Mosaics against a float64 rendering pixel by pixel, and boxes against drawn masks."""

import numpy as np
import pytest
import tensorflow as tf

from projects.yolo.ops import affine as affine_lib
from projects.yolo.ops import mosaic

SIZE = 40
SHAPES = [(40, 30), (25, 40), (40, 40), (33, 21), (12, 40)]
# zoom, (y, x) shift, centre of the tiles, mirror
CASES = {
  "plain": (1.0, (0.0, 0.0), (0.0, 0.0), False),
  "mirror": (1.0, (0.0, 0.0), (5.0, -7.0), True),
  "out": (0.5, (0.1, -0.1), (-9.3, 12.6), False),
  "in": (1.5, (-0.1, 0.07), (3.2, 4.9), True),
  "centre beyond the right": (1.5, (0.0, 0.1), (0.0, 19.0), False),
  "centre beyond top and left": (1.5, (-0.1, -0.1), (-19.9, -19.9), True),
}


def noise(index, shape):
  return np.random.default_rng(index).integers(0, 256, (*shape, 3), np.uint8)


def picture(images, shapes=None):
  array = tf.TensorArray(tf.uint8, len(images), clear_after_read=False, infer_shape=False)
  for index, image in enumerate(images):
    array = array.write(index, mosaic.with_border(tf.constant(image)))
  stored = tf.constant([image.shape[:2] for image in images], tf.float32)
  return mosaic.Pictures(array, stored, stored if shapes is None else tf.constant(shapes))


def setting(cases, is_mosaic, shapes=SHAPES):
  """Placement and maps of one output a case; output j shows the images j, j + 1, j + 2, j + 3."""
  count = len(cases)
  sources = (np.arange(count)[:, None] + np.arange(4)) % len(shapes)
  zoom, shift, centre, flip = (np.array(column) for column in zip(*cases, strict=True))
  placement = mosaic.place(
    tf.constant(sources, tf.int32),
    tf.constant(np.float32(shapes)[sources]),
    tf.constant(centre, tf.float32),
    tf.constant([is_mosaic] * count),
  )
  zero = tf.zeros(count)
  affine = affine_lib.compose(
    tf.constant(zoom, tf.float32), zero, tf.stack([zero, zero], 1),
    tf.constant(shift, tf.float32), tf.constant(flip), SIZE,
  )  # fmt: skip
  return sources, placement, affine


def bilinear(image, y, x):
  """One pixel at (y, x), counted from pixel centres, the outermost pixels repeated."""
  y0, x0 = int(np.floor(y)), int(np.floor(x))
  get = lambda i, j: np.float64(
    image[min(max(i, 0), image.shape[0] - 1), min(max(j, 0), image.shape[1] - 1)]
  )
  top = get(y0, x0) * (1 - x + x0) + get(y0, x0 + 1) * (x - x0)
  bottom = get(y0 + 1, x0) * (1 - x + x0) + get(y0 + 1, x0 + 1) * (x - x0)
  return top * (1 - y + y0) + bottom * (y - y0)


def reference(images, sources, case, is_mosaic):
  """The definition: undo mirror, shift and zoom for every pixel; see which tile lies there."""
  zoom, shift, centre, flip = case
  meeting = np.round(zoom * np.array(centre) * [1, -1 if flip else 1] + half(shift, flip))
  meeting = np.clip(meeting, 0, SIZE)
  out = np.full((SIZE, SIZE, 3), 114.0)
  for y, x in np.ndindex(SIZE, SIZE):
    below, right = y >= meeting[0], (x >= meeting[1]) != flip
    tile = 2 * below + right if is_mosaic else 0
    image = images[sources[tile]]
    at = (np.array([y + 0.5, x + 0.5]) - half(shift, flip)) / zoom * [1, -1 if flip else 1]
    extent = np.array(image.shape[:2])
    corner = np.array(centre) - extent * [not below, not right] if is_mosaic else -extent / 2
    inside = at - corner - 0.5
    if (inside >= -0.5 - 1e-6).all() and (inside <= extent - 0.5 + 1e-6).all():
      out[y, x] = bilinear(image, *inside)
  return out


def half(shift, flip):
  return SIZE * (0.5 + np.array(shift) * [1, -1 if flip else 1])


@pytest.mark.parametrize("is_mosaic", [True, False])
@pytest.mark.parametrize("where", ["eager", "dataset"])
def test_pixels_are_those_of_the_definition(is_mosaic, where):
  images = [noise(index, shape) for index, shape in enumerate(SHAPES)]
  cases = list(CASES.values())
  sources, placement, affine = setting(cases, is_mosaic)

  def render(*_):
    return mosaic.render(picture(images), placement, affine, SIZE)

  if where == "eager":
    ours = render()
  else:
    render = tf.autograph.experimental.do_not_convert(render)
    ours = next(iter(tf.data.Dataset.from_tensors(0).map(render)))
  for index, name in enumerate(CASES):
    expected = reference(images, sources[index], cases[index], is_mosaic)
    np.testing.assert_allclose(ours[index], expected, atol=0.02, err_msg=name)


def test_an_image_shrunk_while_decoding_lies_where_the_whole_one_would():
  """21 columns shrunk by 4 are stored as 6, of which the last is a quarter full."""
  ramp = np.linspace(0, 255, 24)[None, :, None]
  whole = np.broadcast_to(ramp, (32, 24, 3)).round().astype(np.uint8)
  shrunk = whole.reshape(8, 4, 6, 4, 3).mean((1, 3)).round().astype(np.uint8)
  cases = [CASES["plain"]] * 4
  _, placement, affine = setting(cases, False, [(32, 21)] * 4)
  one = mosaic.render(picture([whole[:, :21]] * 4), placement, affine, SIZE)[0].numpy()
  other = mosaic.render(picture([shrunk] * 4, [(8.0, 5.25)] * 4), placement, affine, SIZE)[
    0
  ].numpy()
  inner = np.s_[6:-6, 13:-13]
  np.testing.assert_allclose(one[inner], other[inner], atol=2)


@pytest.mark.parametrize("is_mosaic", [True, False])
def test_boxes_enclose_what_is_drawn(is_mosaic):
  pixels = [(8, 9, 24, 27), (0, 0, 25, 40), (20, 4, 30, 14), (3, 12, 30, 21), (3, 10, 12, 20)]
  boxes = np.float32(pixels) / np.float32([shape * 2 for shape in SHAPES])
  boxes = boxes[:, None]
  cases = list(CASES.values())
  for tile in range(4 if is_mosaic else 1):
    sources, placement, affine = setting(cases, is_mosaic)
    assert placement.used.numpy()[:, tile].all()
    on_canvas = mosaic.place_boxes(placement, tf.constant(boxes))
    moved = affine_lib.apply_to_boxes(affine, on_canvas).numpy()
    for index, name in enumerate(CASES):
      drawn = render_mask(sources[index][tile], boxes, sources[index], placement, affine, index)
      ys, xs = np.nonzero(drawn > 0.5)
      box = np.clip(moved[index, tile], 0, SIZE)
      if not ys.size:
        assert (box[2:] - box[:2]).min() <= 1.5
        continue
      tight = [ys.min(), xs.min(), ys.max() + 1, xs.max() + 1]
      np.testing.assert_allclose(tight, box, atol=1.0, err_msg=name)


def render_mask(source, boxes, sources, placement, affine, index):
  """[SIZE, SIZE]: 1 where the object of image `source` is; the others are blank."""
  masks = []
  for number, shape in enumerate(SHAPES):
    mask = np.zeros((*shape, 3), np.uint8)
    if number == source:
      top, left, bottom, right = np.round(boxes[number, 0] * [*shape, *shape]).astype(int)
      mask[top:bottom, left:right] = 255
    masks.append(mask)
  outputs = mosaic.render(picture(masks), placement, affine, SIZE)
  grey = outputs[index].numpy()[..., 0]
  return np.where(np.abs(grey - 114) < 0.01, 0, grey) / 255


def test_plain_images_bring_their_boxes_once():
  _, placement, _ = setting([CASES["plain"]] * 4, False)
  assert placement.used.numpy().sum(1).tolist() == [1] * 4


def test_border_repeats_the_outermost_pixels():
  image = noise(0, (3, 5))
  expected = np.pad(image, [(1, 1), (1, 1), (0, 0)], "edge")[None]
  np.testing.assert_array_equal(mosaic.with_border(tf.constant(image)), expected)
