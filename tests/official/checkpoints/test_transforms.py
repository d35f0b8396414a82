"""Transforms move every number where NumPy and einops, written out by hand, put it."""

import einops
import ml_dtypes
import numpy as np
import pytest

from official.checkpoints.axes import Misfit
from official.checkpoints.transforms import TRANSFORMS, parse
from official.cli.errors import UserError


def numbers(*shape):
  return np.arange(np.prod(shape, dtype=int)).reshape(shape)


WHOLE = [
  ("", (3,), lambda x: x),
  ("", (2, 3), lambda x: x),
  ("identity", (3, 3), lambda x: x),
  ("identity", (), lambda x: x),
  ("conv", (2, 3, 4, 5), lambda x: x.transpose(2, 3, 1, 0)),
  ("conv", (2, 3, 4), lambda x: x.transpose(2, 1, 0)),
  ("conv", (2, 3, 4, 5, 6), lambda x: x.transpose(2, 3, 4, 1, 0)),
  ("conv_transpose", (2, 3, 4, 5), lambda x: x.transpose(2, 3, 1, 0)),
  ("depthwise", (6, 1, 3, 2), lambda x: x.transpose(2, 3, 0, 1)),
  ("depthwise:2", (6, 1, 3, 2), lambda x: x[:, 0].reshape(3, 2, 3, 2).transpose(2, 3, 0, 1)),
  ("linear", (3, 3), lambda x: x.T),
  ("linear_as_conv", (2, 3), lambda x: x.T[None, None]),
  ("conv_as_linear", (2, 3, 1, 1), lambda x: x[:, :, 0, 0].T),
  (
    "linear_after_flatten:2,3",
    (5, 24),
    lambda x: einops.rearrange(x, "o (c h w) -> (h w c) o", h=2, w=3),
  ),
  ("linear|heads_out:2", (6, 5), lambda x: x.T.reshape(5, 2, 3)),
  ("heads_out:2", (6,), lambda x: x.reshape(2, 3)),
  ("linear|heads_in:2", (5, 6), lambda x: x.T.reshape(2, 3, 5)),
  ("relative_table:5", (15, 4), lambda x: x.reshape(5, 3, 4)),
  ("1 n c -> n c", (1, 5, 3), lambda x: x[0]),
  ("(h w) n -> n h w; h=5", (15, 4), lambda x: x.reshape(5, 3, 4).transpose(2, 0, 1)),
  ("(a b c) -> c b a; a=2, b=3", (24,), lambda x: x.reshape(2, 3, 4).transpose(2, 1, 0)),
  ("conv|order:2,1,0@2", (2, 3, 4, 5), lambda x: x.transpose(2, 3, 1, 0)[:, :, ::-1]),
  ("order:2,0,1@0", (6, 2), lambda x: x[[4, 5, 0, 1, 2, 3]]),
  ("order:1,0@-1", (2, 6), lambda x: x[:, [3, 4, 5, 0, 1, 2]]),
  ("linear|heads_out:2|order:1,0@1", (6, 5), lambda x: x.T.reshape(5, 2, 3)[:, ::-1]),
  (" conv | order:1,0@0 ", (2, 3, 4, 5), lambda x: x.transpose(2, 3, 1, 0)[[2, 3, 0, 1]]),
]


@pytest.mark.parametrize(("text", "shape", "by_hand"), WHOLE)
@pytest.mark.parametrize("dtype", [np.float64, np.int32, ml_dtypes.bfloat16])
def test_whole_arrays(text, shape, by_hand, dtype):
  source = numbers(*shape).astype(dtype)
  target = by_hand(source)
  fit = parse(text).fit(shape, target.shape)
  assert parse(text).splits is False
  np.testing.assert_array_equal(fit.forward(fit.taken(source)), target)
  restored = fit.backward(fit.placed(target))
  np.testing.assert_array_equal(restored, source)
  assert restored.dtype == dtype


def test_every_name_is_tested():
  tested = {part.strip().split(":")[0] for text, *_ in WHOLE for part in text.split("|")}
  assert set(TRANSFORMS) <= tested


@pytest.mark.parametrize(
  ("text", "shape", "by_hand"),
  [
    ("qkv:0/3", (6,), lambda x: x[:2]),
    ("qkv:2/3|linear", (6, 4), lambda x: x[4:].T),
    ("qkv:1/3|linear|heads_out:2", (12, 5), lambda x: x[4:8].T.reshape(5, 2, 2)),
    ("split:1-4/5@1", (1, 5, 3), lambda x: x[:, 1:]),
    ("split:0/5@1|1 1 c -> c", (1, 5, 3), lambda x: x[0, 0]),
    ("split:1/2@-1|split:0/3", (6, 4), lambda x: x[:2, 2:]),
    (
      "(n k d) e -> n k d e; n=2, k=3|split:1/3@1|n 1 d e -> e n d",
      (12, 5),
      lambda x: x.reshape(2, 3, 2, 5)[:, 1].transpose(2, 0, 1),
    ),
  ],
)
def test_pieces_of_the_source(text, shape, by_hand):
  source = numbers(*shape) + 1
  piece = by_hand(source)
  fit = parse(text).fit(shape, piece.shape)
  assert parse(text).splits is True
  np.testing.assert_array_equal(fit.forward(fit.taken(source)), piece)
  blank = np.zeros_like(source)
  fit.taken(blank)[...] = fit.backward(piece)
  np.testing.assert_array_equal(by_hand(blank), piece)
  assert np.count_nonzero(blank) == piece.size


@pytest.mark.parametrize(
  ("text", "shape", "target", "by_hand"),
  [
    ("merge:1/3", (2,), (6,), lambda y: y[2:4]),
    ("linear|merge:2/3", (2, 5), (5, 6), lambda y: y[:, 4:]),
    ("linear|merge:0-1/3", (4, 5), (5, 6), lambda y: y[:, :4]),
    ("o i -> i 1 o|merge:1/3@1", (2, 5), (5, 3, 2), lambda y: y[:, 1:2]),
    ("merge:1/2@0", (3, 5), (6, 5), lambda y: y[3:]),
    ("qkv:1/2|merge:0/2", (4,), (4,), lambda y: y[:2]),
  ],
)
def test_pieces_of_the_target(text, shape, target, by_hand):
  filled = np.zeros(target, int)
  fit = parse(text).fit(shape, target)
  source = numbers(*shape) + 1
  fit.placed(filled)[...] = fit.forward(fit.taken(source))
  assert np.count_nonzero(filled) == np.count_nonzero(by_hand(filled)) == by_hand(filled).size
  restored = np.zeros_like(source)
  fit.taken(restored)[...] = fit.backward(fit.placed(filled))
  np.testing.assert_array_equal(restored, fit_only(fit, source))


def fit_only(fit, source):
  """`source` where `fit` takes it, zero elsewhere."""
  taken = np.zeros_like(source)
  fit.taken(taken)[...] = fit.taken(source)
  return taken


@pytest.mark.parametrize(
  ("text", "source", "target", "words"),
  [
    ("", (2, 3), (3, 2), "'identity' gives [2, 3], not [3, 2]"),
    ("", (3,), (1, 3), "'identity' gives [3], not [1, 3]"),
    ("", (6,), (3,), "'identity' gives [6], not [3]"),
    ("", (3, 3), (3, 3), "would fit transposed too"),
    ("", (4, 3, 4), (4, 3, 4), "would fit transposed too"),
    ("linear", (2, 3), (2, 3), "'linear' gives [3, 2], not [2, 3]"),
    ("linear", (2, 3, 1), (3, 2), "takes 2 axes"),
    ("conv", (2, 3), (3, 2), "takes 3 or more axes"),
    ("depthwise", (6, 2, 3, 3), (3, 3, 6, 2), "an axis of 1, not of 2"),
    ("depthwise:4", (6, 1, 3, 3), (3, 3, 2, 3), "m=4"),
    ("qkv:0/3", (7,), (2,), "axis 0 of [7] is not 3 equal pieces"),
    ("qkv:0/3", (6,), (3,), "gives [2], not [3]"),
    ("qkv:0/3", (), (), "there is no axis 0 in []"),
    ("split:0/3@2", (3, 3), (1, 3), "there is no axis 2"),
    ("split:0/3@-3", (3, 3), (1, 3), "there is no axis -3"),
    ("merge:0/3", (2,), (7,), "axis -1 of [7] is not 3 equal pieces"),
    ("merge:0/3", (3,), (6,), "gives [3], not [2] as a piece of [6]"),
    ("order:1,0@0", (3, 2), (3, 2), "not 2 equal pieces"),
    ("order:1,0@2", (4, 2), (4, 2), "no axis 2"),
    ("linear|qkv:0/3", (4, 6), (2, 4), "permutes axes before the piece"),
  ],
)
def test_misfits(text, source, target, words):
  with pytest.raises(Misfit) as error:
    parse(text).fit(source, target)
  assert words in str(error.value)


def test_ones_are_not_transposable():
  parse("").fit((1, 1, 3, 5), (1, 1, 3, 5))


@pytest.mark.parametrize(
  ("text", "words"),
  [
    ("con", "there is no 'con'; did you mean 'conv'?"),
    ("linear||conv", "there is no ''"),
    ("conv:2", "write it as 'conv'"),
    ("heads_out", "write it as 'heads_out:N'"),
    ("heads_out:2,3", "write it as 'heads_out:N'"),
    ("heads_out:2:3", "write it as 'heads_out:N'"),
    ("heads_out:x", "write it as 'heads_out:N'"),
    ("heads_out:-1", "write it as 'heads_out:N'"),
    ("linear_after_flatten:7", "write it as 'linear_after_flatten:H,W'"),
    ("qkv", "write it as 'qkv:0/3'"),
    ("split:0", "write it as 'split:0/3'"),
    ("qkv:3/3", "pieces of 3 are 0 to 2"),
    ("qkv:2-1/3", "pieces of 3 are 0 to 2, in order"),
    ("merge:0/2|linear", "'merge' comes last"),
    ("order:0,0@1", "each piece once"),
    ("order:1,2@1", "each piece once"),
    ("order:1,0", "write it as 'order:2,1,0@AXIS'"),
    ("order:1,0@0|qkv:0/3", "only regroup axes before the pieces"),
    ("qkv:0/3|(a b) -> a b; a=2|split:0/2", "only regroup axes before the pieces"),
    ("(h w) n -> h w n", "give the length of one of h, w"),
    ("(h w) n -> h w n; h", "write lengths as"),
    ("(h w) n -> h w n; h=7, x=2", "there is no axis 'x'"),
    ("a b -> a", "both sides must name the same axes"),
  ],
)
def test_malformed_transforms_are_refused(text, words):
  with pytest.raises(UserError) as error:
    parse(text)
  assert words in str(error.value)
  assert "\n" not in str(error.value)
