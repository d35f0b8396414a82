"""Images as the originals give them to a network, in NumPy: letterbox, and Darknet's stretch."""

import numpy as np

GREY = 114


def letterbox(image: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
  """Fits an image into a square as OpenCV would: area averages to shrink, bilinear to enlarge.

  Args:
    image: [h, w, 3] uint8.
    size: side of the square in pixels.

  Returns:
    the image [size, size, 3] uint8, grey around it, and (scale y, scale x, offset y, offset x).
  """
  height, width = image.shape[:2]
  ratio = size / max(height, width)
  rows, columns = (max(int(np.round(side * ratio)), 1) for side in (height, width))
  weigh = _area if rows < height and columns < width else _bilinear
  down = np.tensordot(weigh(height, rows), image.astype(np.float64), 1)  # [rows, w, 3]
  resized = np.einsum("ywc,xw->yxc", down, weigh(width, columns))
  top, left = (size - rows) // 2, (size - columns) // 2
  box = np.full((size, size, 3), GREY, np.uint8)
  box[top : top + rows, left : left + columns] = np.round(resized)
  return box, np.array([rows / height, columns / width, top, left])


def stretch(image: np.ndarray, height: int, width: int) -> np.ndarray:
  """[h, w, 3] uint8 → [height, width, 3] float32 in 0..1, by Darknet's `resize_image`, pixel by
  pixel in its float32 arithmetic."""
  pixels = (image / 255).astype(np.float32)
  rows, columns = image.shape[:2]
  across = np.empty((rows, width, 3), np.float32)
  step = np.float32(columns - 1) / np.float32(max(width - 1, 1))
  for x in range(width):
    place = np.float32(x) * step
    left = int(place)
    share = place - np.float32(left)
    if x == width - 1 or columns == 1:
      across[:, x] = pixels[:, -1]
    else:
      across[:, x] = (1 - share) * pixels[:, left] + share * pixels[:, left + 1]
  result = np.empty((height, width, 3), np.float32)
  step = np.float32(rows - 1) / np.float32(max(height - 1, 1))
  for y in range(height):
    place = np.float32(y) * step
    upper = int(place)
    share = place - np.float32(upper)
    result[y] = (1 - share) * across[upper]
    if y < height - 1 and rows > 1:
      result[y] += share * across[upper + 1]
  return result


def _area(source: int, target: int) -> np.ndarray:
  """[target, source]: the share of each source pixel in each target pixel."""
  edges = np.arange(target + 1) * source / target
  pixels = np.arange(source)
  low, high = np.maximum(edges[:-1, None], pixels), np.minimum(edges[1:, None], pixels + 1)
  return np.maximum(high - low, 0) * target / source


def _bilinear(source: int, target: int) -> np.ndarray:
  """[target, source]: linear between the centres of pixels; the edges repeat."""
  centres = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
  return np.maximum(1 - np.abs(centres[:, None] - np.arange(source)), 0)
