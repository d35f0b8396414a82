"""Layouts against NumPy's own transpositions."""

import numpy as np
import pytest

from official.cli.errors import UserError
from official.parity.comparing.layouts import LayoutError, convert, sides

IMAGE = np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)


def test_channels_last():
  made = convert(IMAGE, "b c h w -> b h w c", (2, 4, 5, 3))
  np.testing.assert_array_equal(made, np.moveaxis(IMAGE, 1, -1))


def test_no_layout_changes_nothing():
  assert convert(IMAGE, "", ()) is IMAGE


def test_joined_axes():
  made = convert(IMAGE, "b c h w -> b (h w) c", (2, 20, 3))
  np.testing.assert_array_equal(made, IMAGE.reshape(2, 3, 20).swapaxes(1, 2))


def test_axes_are_split_by_the_candidates_sizes():
  tokens = IMAGE.reshape(2, 3, 20).swapaxes(1, 2)
  made = convert(tokens, "b (h w) c -> b h w c", (2, 4, 5, 3))
  np.testing.assert_array_equal(made, np.moveaxis(IMAGE, 1, -1))
  other = convert(tokens, "b (h w) c -> b h w c", (2, 5, 4, 3))
  assert other.shape == (2, 5, 4, 3)


def test_the_shape_of_the_other_side_is_not_imposed():
  """H and W swapped stays visible: the result has the original's sizes."""
  assert convert(IMAGE, "b c h w -> b h w c", (2, 5, 4, 3)).shape == (2, 4, 5, 3)


@pytest.mark.parametrize(
  ("array", "layout", "shape"),
  [
    (IMAGE[0], "b c h w -> b h w c", (2, 4, 5, 3)),
    (np.zeros((2, 21, 3)), "b (h w) c -> b h w c", (2, 4, 5, 3)),
    (np.zeros((2, 20, 3)), "b (h w) c -> b h w c", (2, 20, 3)),
  ],
)
def test_what_does_not_fit(array, layout, shape):
  with pytest.raises(LayoutError):
    convert(array, layout, shape)


@pytest.mark.parametrize(
  "layout", ["b c h w", "b c -> b d", "b c -> b", "b b -> b b", "a -> b -> c"]
)
def test_malformed_layouts_are_refused(layout):
  with pytest.raises(UserError, match="name the same axes on both sides"):
    sides(layout)
  with pytest.raises(UserError):
    convert(np.zeros((2, 2)), layout, (2, 2))
