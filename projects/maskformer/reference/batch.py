"""What parity's networks are given: images, and segments that tile parts of them."""

import numpy as np

from official.parity.case import Arrays
from projects.maskformer.reference.numbers import symmetric, uniform

SIZE = (136, 104)  # Height, width: 5 × 4 pixels at stride 32, odd sides at strides 8 to 32.
SEGMENTS = 8  # Rows for segments; not all of them are used.
_COUNTS = (7, 3)  # Segments of the images of a batch.


def batch(classes: int, seed: int) -> Arrays:
  """Two normalized images with their targets, padded with empty segments.

  Args:
    classes: how many there are.
    seed: other seeds, other images.

  Returns:
    `images` [b, 3, h, w] float64; `classes` [b, n] int32, −1 behind the last; `masks` [b, n, h, w]
    uint8, of which no two of an image share a pixel; `valid` [b, n] bool.
  """
  images = len(_COUNTS)
  valid = np.arange(SEGMENTS) < np.array(_COUNTS)[:, None]
  drawn = (uniform((images, SEGMENTS), seed, "classes") * classes).astype(np.int32)
  return {
    "images": symmetric((images, 3, *SIZE), seed, "images"),
    "classes": np.where(valid, drawn, -1).astype(np.int32),
    "masks": np.stack([_masks(count, seed, image) for image, count in enumerate(_COUNTS)]),
    "valid": valid,
  }


def _masks(count: int, seed: int, image: int) -> np.ndarray:
  """[n, h, w] uint8: each pixel goes to the segment whose centre is nearest, some to none."""
  pixels = np.stack(np.mgrid[: SIZE[0], : SIZE[1]], axis=-1)  # [h, w, 2]
  centres = uniform((count + 1, 2), seed, "centres", image) * SIZE
  distances = ((pixels[:, :, None] - centres) ** 2).sum(-1)  # [h, w, count + 1]
  masks = distances.argmin(-1) == np.arange(SEGMENTS)[:, None, None]
  masks[count:] = False
  return masks.astype(np.uint8)
