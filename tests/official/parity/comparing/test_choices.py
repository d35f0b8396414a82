"""Choices that fall either way, and choices that do not."""

import numpy as np
import pytest

from official.parity.comparing import choices
from official.parity.comparing.choices import near_tie
from official.parity.result import Finding, Status


def top(scores, count=2):
  return np.argsort(-scores, kind="stable")[:count]


def stirred(scores, noise, count=16):
  random = np.random.default_rng(0)
  return [top(choices.stir(scores, noise, random)) for _ in range(count)]


def test_a_margin_inside_the_noise_is_a_near_tie():
  scores = np.array([0.9, 0.5 + 1e-12, 0.5, 0.1])
  reference = np.array([0, 2])
  assert near_tie(top(scores), reference, stirred(scores, 1e-11))


def test_a_margin_outside_the_noise_is_not():
  scores = np.array([0.9, 0.5001, 0.5, 0.1])
  assert not near_tie(top(scores), np.array([0, 2]), stirred(scores, 1e-11))


def test_every_difference_must_be_explained():
  scores = np.array([0.9, 0.5 + 1e-12, 0.5, 0.1])
  assert not near_tie(top(scores), np.array([3, 2]), stirred(scores, 1e-11))


def test_nothing_is_explained_without_stirring():
  assert not near_tie(np.array([1]), np.array([2]), [])


def test_other_numbers_of_choices():
  two, three = np.array([0, 1]), np.array([0, 1, 2])
  assert near_tie(two, three, [two, three])
  assert not near_tie(two, three, [two, two])


def test_whole_numbers_are_not_floats():
  ones = np.ones(3)
  assert not near_tie(ones.astype(int), ones, [ones])
  assert not near_tie(ones, ones.astype(int), [ones])


def test_values_that_go_with_a_choice():
  reference = np.array([[1.0, 2.0], [3.0, 4.0]])
  candidate, swapped = reference[::-1], reference + 1e-12
  assert near_tie(candidate, reference, [candidate, swapped])
  assert not near_tie(candidate, reference, [candidate, reference + 1e-6])
  assert near_tie(candidate, reference, [candidate, reference + 1e-6], limit=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_stir_moves_floats_by_as_much_as_is_said(dtype):
  values = np.array([100.0, 1.0, 0.0], dtype)
  moved = choices.stir(values, 1e-3, np.random.default_rng(0))
  assert moved.dtype == dtype
  assert 0 < abs(moved[0] - 100) <= 0.1001
  assert 0 < abs(moved[2]) <= 1e-3 * np.sqrt(10001 / 3)
  whole = np.arange(3)
  assert choices.stir(whole, 0.5, np.random.default_rng(0)) is whole


def test_as_tie():
  finding = Finding("postprocess", "array", "p", "keep", "keep", 0, "", Status.DIFFERENT, 1, 0, 0)
  assert choices.as_tie(finding).status == Status.NEAR_TIE
  assert choices.as_tie(finding).status.passes
