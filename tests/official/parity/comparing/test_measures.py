"""Magnitudes and distances against NumPy on the whole array."""

import ml_dtypes
import numpy as np
import pytest

from official.parity.comparing import measures
from official.parity.comparing.measures import Noise, distance, magnitude

SIZES = [1, 7, 8192, 8193, 50_000]


def normal(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape)


def whole(values, truth, unit, rounding=0.0):
  gap = np.maximum(np.abs(values - truth) - rounding, 0)
  return np.max(gap / np.maximum(np.abs(truth), unit)), np.sqrt(np.mean(gap**2)) / unit


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
def test_magnitude(size, scale):
  array = normal(size)
  found = magnitude(array * scale)
  assert found.largest == np.abs(array * scale).max()
  assert found.rms == pytest.approx(scale * np.sqrt((array**2).mean()), rel=1e-12)


@pytest.mark.parametrize("place", [0, 8191, 8192, 20_000])
def test_magnitude_of_what_is_not_finite(place):
  array = normal(20_002)
  array[place] = np.inf
  assert magnitude(array) == (np.inf, np.inf)
  array[-1] = np.nan
  assert np.isnan(magnitude(array).largest)
  array[place], array[-1] = np.nan, 1
  assert np.isnan(magnitude(array).largest)


def test_magnitude_of_little():
  assert magnitude(np.zeros(3)) == (0, 0)
  assert magnitude(np.zeros((0, 3))) == (0, 0)
  assert magnitude(np.float64(-3.0)) == (3, 3)
  assert magnitude(np.array([3 + 4j])) == (5, 5)
  assert magnitude(np.ones(5, ml_dtypes.bfloat16)) == (1, 1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("unit", [0.3, 100.0])
def test_distance(size, unit):
  truth = normal(size)
  values = truth + 1e-3 * normal(size, seed=1) * (normal(size, seed=2) > 1)
  found = distance(values, truth, unit)
  assert found == pytest.approx(whole(values, truth, unit), rel=1e-12)
  rounding = 5e-4 * np.abs(normal(size, seed=3))
  found = distance(values, truth, unit, rounding)
  assert found == pytest.approx(whole(values, truth, unit, rounding), rel=1e-12)


def test_the_worst_place_may_be_in_any_block():
  truth = np.ones(30_000)
  truth[10_000] = 1e6
  for place in (5, 9_000, 29_999):
    values = truth.copy()
    values[10_000] += 10
    values[place] += 1
    assert distance(values, truth, 1.0).largest == 1.0


def test_distance_of_equal_arrays_and_from_zero():
  assert distance(normal(9), normal(9), 1.0) == Noise(0, 0)
  assert distance(np.zeros(9), np.zeros(9), 0.0) == Noise(0, 0)
  assert distance(normal(9), np.zeros(9), 0.0) == Noise(np.inf, np.inf)
  assert distance(np.zeros((0, 2)), np.zeros((0, 2)), 1.0) == Noise(0, 0)


def test_any_layout_and_width():
  truth = normal(6, 7, 8)
  values = truth + 1e-3
  swapped = distance(values.transpose(2, 0, 1), truth.transpose(2, 0, 1), 0.5)
  assert swapped == pytest.approx(distance(values, truth, 0.5))
  low = truth.astype(ml_dtypes.bfloat16)
  assert distance(low, truth, 0.5) == pytest.approx(whole(low.astype(float), truth, 0.5))


def test_large_arrays_are_not_copied():
  import tracemalloc

  array = np.ones(2_000_000)
  tracemalloc.start()
  magnitude(array)
  distance(array, array + 0.0, 1.0)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert peak < 1.2 * array.nbytes
  assert measures._BLOCK * 8 < 1e6
