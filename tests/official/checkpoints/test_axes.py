"""Arrangements do what einops does, and can be undone."""

import einops
import numpy as np
import pytest

from official.checkpoints import axes
from official.cli.errors import UserError

CASES = [
  ("o i h w -> h w i o", (2, 3, 4, 5), {}),
  ("(c m) 1 h w -> h w c m", (6, 1, 3, 2), {"m": 2}),
  ("(n d) o -> n d o", (6, 5), {"n": 3}),
  ("... (n d) -> ... n d", (2, 5, 6), {"n": 3}),
  ("... (n d) -> ... n d", (6,), {"n": 3}),
  ("o (c h w) -> (h w c) o", (4, 24), {"h": 2, "w": 3}),
  ("1 n c -> n c", (1, 7, 3), {}),
  ("c -> 1 1 c", (3,), {}),
  ("... -> ...", (2, 3), {}),
  ("... -> ...", (), {}),
  ("a ... b -> b ... a", (2, 3, 4, 5), {}),
  ("a ... b -> b a ...", (2, 3), {}),
  ("(a 1) -> a", (4,), {}),
  ("a -> (1 a)", (4,), {}),
]


@pytest.mark.parametrize(("text", "shape", "sizes"), CASES)
def test_agrees_with_einops_and_inverts(text, shape, sizes):
  array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
  arranged = axes.parse(text).resolve(shape, sizes)
  expected = einops.rearrange(array, text, **sizes)
  np.testing.assert_array_equal(arranged.forward(array), expected)
  assert arranged.after == expected.shape
  restored = arranged.backward(expected)
  np.testing.assert_array_equal(restored, array)
  assert restored.shape == shape


def test_knows_whether_numbers_move():
  assert axes.parse("(h w) n -> h w n").resolve((6, 2), {"h": 2}).permutes is False
  assert axes.parse("o i -> i o").resolve((6, 2), {}).permutes is True


@pytest.mark.parametrize(
  ("text", "shape", "sizes", "words"),
  [
    ("o i -> i o", (2, 3, 4), {}, "takes 2 axes, not 3"),
    ("o i x ... -> x ... i o", (2, 3), {}, "takes 3 or more axes, not 2"),
    ("o i 1 1 -> i o", (2, 3, 1, 2), {}, "wants an axis of 1, not of 2"),
    ("(n d) o -> n d o", (7, 2), {"n": 3}, "wants an axis of n=3 · d, not of 7"),
    ("(n d) o -> n d o", (6, 2), {"n": 3, "d": 3}, "wants an axis of n=3 · d=3, not of 6"),
    ("(n d) o -> n d o", (6, 2), {"n": 0}, "wants an axis of n=0 · d, not of 6"),
    ("n d -> d n", (6, 2), {"n": 3}, "wants an axis of n=3, not of 6"),
  ],
)
def test_other_shapes_are_misfits(text, shape, sizes, words):
  with pytest.raises(axes.Misfit) as error:
    axes.parse(text).resolve(shape, sizes)
  assert words in str(error.value)


def test_open_axes_are_those_that_no_shape_tells():
  arrangement = axes.parse("(a b) c (d e) -> a b c d e")
  assert arrangement.open_axes({"a": 2}) == ["d", "e"]
  assert arrangement.open_axes({"a": 2, "d": 2, "e": 3}) == []


@pytest.mark.parametrize(
  "text",
  [
    "o i",
    "o -> i -> o",
    "o i -> o",
    "o i -> i o x",
    "o o -> o o",
    "o (i -> i o",
    "o i) -> i o",
    "((o i) h) -> o i h",
    "(...) -> ...",
    "2 a -> a 2",
    "(a 2) b -> b (a 2)",
    "a, b -> b, a",
    "a-b -> a b",
    "... a ... -> a ... ...",
  ],
)
def test_malformed_arrangements_are_refused(text):
  with pytest.raises(UserError) as error:
    axes.parse(text)
  assert f"arrangement '{text}'" in str(error.value)
