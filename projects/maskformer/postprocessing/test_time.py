"""Semantic scores averaged over sizes of the image and its mirror images.

The original's `SemanticSegmentorWithTTA`, whose views detectron2's `DatasetMapperTTA` makes: the
image as evaluation feeds it, resized (Pillow's bilinear) to each of several sizes, and each of
these mirrored too; the mean of the scores that the network gives at the original image's size.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from PIL import Image

Predict = Callable[[np.ndarray], np.ndarray]


def average_scores(
  image: np.ndarray, sizes: Sequence[tuple[int, int]], predict: Predict
) -> np.ndarray:
  """The mean of the scores of all views.

  Args:
    image: [h, w, 3] uint8, as evaluation feeds it: already resized once.
    sizes: (height, width) of the views, at least one; each is seen plain and mirrored.
    predict: from a view [., ., 3] uint8 → scores [height, width, c] at the original image's size.

  Returns:
    scores [height, width, c] of the dtype that `predict` gives.
  """
  # One sum, in the original's order: the scores of all views at once would be gigabytes.
  total = np.zeros([], np.float32)
  for view, mirrored in _views(image, sizes):
    scores = predict(view)
    total = total + (scores[:, ::-1] if mirrored else scores)
  return total / (2 * len(sizes))


def _views(
  image: np.ndarray, sizes: Sequence[tuple[int, int]]
) -> Iterator[tuple[np.ndarray, bool]]:
  """Each view, and whether it is mirrored."""
  for height, width in sizes:
    view = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    yield view, False
    yield view[:, ::-1], True
