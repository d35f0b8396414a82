"""The average over views against the original's."""

import numpy as np

from projects.maskformer.postprocessing.test_time import average_scores
from tests.projects.maskformer.postprocessing.record import view_scores

# The shorter side becomes 32, 48 and 72, the longer one at most 100.
SIZES = ((32, 43), (48, 64), (72, 96))


def test_equals_the_original(recordings):
  got = average_scores(recordings["views/image"], SIZES, view_scores)
  np.testing.assert_array_equal(got, recordings["views/scores"].transpose(1, 2, 0))


def test_what_the_network_sees():
  image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
  seen = []
  average_scores(image, SIZES, lambda view: seen.append(view) or np.zeros((2, 2, 1)))
  assert [view.shape for view in seen] == [(*size, 3) for size in SIZES for _ in range(2)]
  for plain, mirrored in zip(seen[::2], seen[1::2], strict=True):
    assert plain.dtype == np.uint8
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])
  np.testing.assert_array_equal(seen[2], image)


def test_mirrored_scores_are_turned_back():
  image = np.zeros((10, 10, 3), np.uint8)
  ramp = np.arange(4.0)[None, :, None]
  np.testing.assert_array_equal(
    average_scores(image, [(10, 10)], lambda view: ramp), ramp * 0 + 1.5
  )
