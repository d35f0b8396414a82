"""Semantic scores averaged over sizes of the image and its mirror images.

The original's `SemanticSegmentorWithTTA`. Its views are made in `dataloaders.many_views`.
"""

from collections.abc import Iterable

import numpy as np


def average_scores(scores: Iterable[np.ndarray]) -> np.ndarray:
  """The mean of the scores of all views.

  Args:
    scores: [h, w, c] float each, at the original image's size; of a plain view and of its mirror
      image in turn, at least one of both. They are asked for one by one.

  Returns:
    scores [h, w, c] of the same dtype.
  """
  # One sum, in the original's order: the scores of all views at once would be gigabytes.
  total, count = np.zeros([], np.float32), 0
  for each in scores:
    total = total + (each[:, ::-1] if count % 2 else each)
    count += 1
  return total / count
