"""Which segments are targets, by hand; masks in eager mode, in a graph and under XLA."""

import numpy as np
import pytest
import tensorflow as tf

from projects.maskformer.dataloaders import targets

SEEN = np.array([[1, 1, 1, 0], [2, 3, 3, 5], [5, 5, 5, 5]], np.uint8)  # Areas 3, 1, 2, 0, 5.
CLASSES = [7, 8, 9, 10, 11]


def choose(crowds=(), room=6, keep_absent=False, seen=SEEN, classes=CLASSES):
  is_crowd = [place in crowds for place in range(1, len(classes) + 1)]
  chosen = targets.choose(
    tf.constant(seen), tf.constant(classes, tf.int32), tf.constant(is_crowd, tf.bool), room,
    keep_absent,
  )  # fmt: skip
  return targets.Chosen(*(each.numpy() for each in chosen))


def rows(chosen):
  return list(zip(chosen.places[chosen.valid], chosen.classes[chosen.valid], strict=True))


def test_segments_that_are_seen_are_targets():
  chosen = choose()
  assert rows(chosen) == [(1, 7), (2, 8), (3, 9), (5, 11)]
  assert chosen.valid.tolist() == [True] * 4 + [False] * 2
  assert chosen.places[4:].tolist() == [0, 0]
  assert chosen.classes[4:].tolist() == [-1, -1]
  assert chosen.dropped == 0


def test_absent_ones_too_where_they_are_kept():
  assert rows(choose(keep_absent=True)) == [(1, 7), (2, 8), (3, 9), (4, 10), (5, 11)]


def test_crowds_are_none():
  assert rows(choose(crowds=(1, 4, 5), keep_absent=True)) == [(2, 8), (3, 9)]


@pytest.mark.parametrize(
  ("room", "keep_absent", "expected", "dropped"),
  [
    (3, False, [1, 3, 5], 1), (2, False, [1, 5], 2), (1, False, [5], 3),
    (4, False, [1, 2, 3, 5], 0), (4, True, [1, 2, 3, 5], 1), (5, True, [1, 2, 3, 4, 5], 0),
  ],
)  # fmt: skip
def test_the_smallest_are_dropped_and_counted(room, keep_absent, expected, dropped):
  chosen = choose(room=room, keep_absent=keep_absent)
  assert chosen.places[chosen.valid].tolist() == expected
  assert chosen.dropped == dropped


def test_dropped_ones_do_not_count_crowds():
  assert choose(crowds=(1, 2), room=2).dropped == 0


def test_all_255_segments():
  seen = np.arange(256, dtype=np.uint8).reshape(16, 16)
  chosen = choose(room=255, seen=seen, classes=list(range(255)))
  assert rows(chosen) == [(place, place - 1) for place in range(1, 256)]
  assert choose(room=3, seen=seen, classes=list(range(255))).places.tolist() == [1, 2, 3]


def test_no_segments():
  chosen = choose(seen=np.zeros((2, 2), np.uint8), classes=[])
  assert not chosen.valid.any()
  assert chosen.dropped == 0


def labels():
  seen = np.stack([SEEN, np.where(SEEN == 5, 255, 0).astype(np.uint8), SEEN * 0])
  places = np.int32([[1, 3, 0], [255, 0, 0], [0, 0, 0]])
  return {
    "segments": seen,
    "places": places,
    "classes": np.int32([[7, 0, -1], [3, -1, -1], [-1, -1, -1]]),
    "valid": places > 0,
    "dropped": np.int32([0, 0, 0]),
    "padding": np.ones(seen.shape, bool),
  }


@pytest.mark.parametrize("how", ["eager", "graph", "xla"])
def test_masks(how):
  expand = {
    "eager": targets.expand,
    "graph": tf.function(targets.expand),
    "xla": tf.function(targets.expand, jit_compile=True),
  }[how]
  given = labels()
  made = {k: v.numpy() for k, v in expand({k: tf.constant(v) for k, v in given.items()}).items()}
  assert made["masks"].dtype == np.uint8
  expected = np.zeros((3, 3, 3, 4))
  expected[0, 0], expected[0, 1], expected[1, 0] = SEEN == 1, SEEN == 3, SEEN == 5
  np.testing.assert_array_equal(made["masks"], expected)
  semantic = np.full((3, 3, 4), -1)
  semantic[0][SEEN == 1], semantic[0][SEEN == 3], semantic[1][SEEN == 5] = 7, 0, 3
  np.testing.assert_array_equal(made["semantic"], semantic)
  assert made["semantic"].dtype == np.int32
  for key in ("classes", "valid", "padding"):
    np.testing.assert_array_equal(made[key], given[key])


def test_invalid_rows_have_no_masks_whatever_they_hold():
  given = labels() | {"valid": np.zeros((3, 3), bool)}
  made = targets.expand({k: tf.constant(v) for k, v in given.items()})
  assert not made["masks"].numpy().any()
  assert (made["semantic"].numpy() == targets.IGNORE).all()
