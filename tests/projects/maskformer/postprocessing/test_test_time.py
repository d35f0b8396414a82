"""The average over views against the original's."""

import numpy as np
from PIL import Image

from projects.maskformer.postprocessing.test_time import average_scores
from tests.projects.maskformer.postprocessing.record import view_scores

# The shorter side becomes 32, 48 and 72, the longer one at most 100.
SIZES = ((32, 43), (48, 64), (72, 96))


def test_equals_the_original(recordings):
  image = Image.fromarray(recordings["views/image"])
  views = [np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR)) for size in SIZES]
  got = average_scores(view_scores(each) for view in views for each in (view, view[:, ::-1]))
  np.testing.assert_array_equal(got, recordings["views/scores"].transpose(1, 2, 0))


def test_mirrored_scores_are_turned_back():
  ramp = np.arange(4.0)[None, :, None]
  np.testing.assert_array_equal(average_scores([ramp, ramp]), ramp * 0 + 1.5)
  np.testing.assert_array_equal(average_scores([ramp, ramp[:, ::-1]]), ramp)
