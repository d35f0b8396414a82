"""The verdict against what other tools let pass, and against NumPy."""

import ml_dtypes
import numpy as np
import pytest

from official.parity.comparing import verdict
from official.parity.comparing.verdict import Noise, compare
from official.parity.result import Status

SAME, DIFFERENT = Status.SAME, Status.DIFFERENT


def normal(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape)


def rounded(golden, epsilon, seed=1, times=1.0):
  """`golden` as a float32 or bfloat16 computation would have it: off by about `epsilon`."""
  noise = np.random.default_rng(seed).normal(size=golden.shape)
  return golden + times * epsilon * noise * np.abs(golden).mean()


def test_equal_arrays_are_the_same():
  found = compare(normal(3, 4), normal(3, 4))
  assert found == (SAME, 0.0, 0.0, 1e-9, "")


@pytest.mark.parametrize("off", [1e-13, 5e-10])
def test_rounding_is_the_same(off):
  reference = normal(100)
  assert compare(reference + off, reference).status == SAME


def test_the_error_is_relative_to_the_value_where_that_is_large_and_to_the_rms_elsewhere():
  reference = np.array([1000.0, 1.0, 0.0, 0.0])
  rms = np.sqrt((1e6 + 1) / 4)
  assert compare(reference + [1e-3, 0, 0, 0], reference).error == pytest.approx(1e-6)
  assert compare(reference + [0, 0, 1e-3, 0], reference).error == pytest.approx(1e-3 / rms)


def test_a_wrong_epsilon_is_different():
  x = normal(4, 64)
  normalize = lambda epsilon: (x - x.mean(0)) / np.sqrt(x.var(0) + epsilon)
  found = compare(normalize(1e-6), normalize(1e-5))
  assert found.status == DIFFERENT
  assert 1e-9 < found.error < 1e-3


# What passes in reprod_log.
def test_one_element_in_a_million_that_is_off_by_less_than_one():
  reference = normal(1000, 1000)
  candidate = reference.copy()
  candidate[123, 456] += 0.9
  found = compare(candidate, reference)
  assert found.status == DIFFERENT
  assert found.error == pytest.approx(
    0.9 / max(abs(reference[123, 456]), np.sqrt((reference**2).mean()))
  )


def test_shapes_that_broadcast_are_different():
  found = compare(np.ones((4, 1)), np.ones((1, 7)))
  assert found.status == DIFFERENT
  assert found.error == np.inf
  assert (found.noise, found.limit) == (0.0, 0.0)
  assert found.reason == "shapes differ: [4, 1], in the original [1, 7]"
  assert compare(np.ones((1, 5)), np.ones(5)).status == DIFFERENT
  assert compare(np.ones(()), np.ones(1)).status == DIFFERENT
  assert compare(np.ones((2, 0)), np.ones((0, 2))).status == DIFFERENT


def test_golden_values_of_another_shape_are_no_golden_values():
  assert compare(normal(3), normal(3), golden=normal(1), precision="float32").status == DIFFERENT


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("sides", ["candidate", "reference", "both"])
def test_what_is_not_finite_is_different_on_one_side_and_on_both(value, sides):
  candidate, reference = normal(3, 4), normal(3, 4)
  if sides != "reference":
    candidate[1, 2] = value
  if sides != "candidate":
    reference[1, 2] = value
  found = compare(candidate, reference)
  assert (found.status, found.error) == (DIFFERENT, np.inf)
  side = "the original" if sides == "reference" else "the candidate"
  assert found.reason == f"1 of 12 values not finite in {side}, the first at [1, 2]"


def test_golden_values_that_are_not_finite_are_different():
  golden = normal(4)
  golden[0] = np.nan
  assert compare(normal(4), normal(4), golden=golden, precision="float32").status == DIFFERENT


# What passes in PaDiff: a mean does not see it.
def test_a_permutation_is_different():
  reference = normal(64)
  assert compare(np.random.default_rng(5).permutation(reference), reference).status == DIFFERENT


# What passes in onnx2tf.
def test_swapped_axes_are_different_where_the_shape_hides_it_and_where_it_does_not():
  square, other = normal(2, 5, 5, 3), normal(2, 5, 4, 3)
  assert compare(square.swapaxes(1, 2), square).status == DIFFERENT
  assert compare(other.swapaxes(1, 2), other).status == DIFFERENT


def test_one_dimension_is_compared_too():
  assert compare(normal(7), normal(7, seed=1)).status == DIFFERENT
  assert compare(np.float64(1.0), np.float64(1.1)).status == DIFFERENT
  assert compare(np.float64(1.0), np.float64(1.0)).status == SAME


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8, bool])
def test_whole_numbers_are_compared_exactly(dtype):
  reference = np.array([[0, 1, 1], [1, 0, 1]], dtype)
  assert compare(reference.copy(), reference).status == SAME
  candidate = reference.copy()
  candidate[1, 1] = 1
  found = compare(candidate, reference)
  assert found.status == DIFFERENT
  assert found.reason == "1 of 6 values differ, the first at [1, 1]"
  assert found.error == pytest.approx(1 / 6)


def test_the_width_of_a_type_does_not_matter_and_its_kind_does():
  ones = np.ones(3, np.int32)
  assert compare(ones, ones.astype(np.int64)).status == SAME
  assert compare(ones, ones.astype(np.uint8)).status == SAME
  for other in (np.float32, bool):
    found = compare(ones, ones.astype(other))
    assert found.status == DIFFERENT
    assert found.reason.startswith("types differ: integer, in the original ")
  assert compare(np.ones(3, ml_dtypes.bfloat16), np.ones(3)).status == SAME
  assert compare(np.ones(3, complex), np.ones(3)).status == DIFFERENT
  assert compare(np.array(["a"]), np.array(["b"])).status == DIFFERENT
  assert compare(np.array(["a"]), np.array(["a"])).status == SAME


def test_nothing_is_the_same_as_nothing_of_that_shape():
  assert compare(np.zeros((0, 3)), np.zeros((0, 3))) == (SAME, 0.0, 0.0, 0.0, "no values")


@pytest.mark.parametrize("magnitude", [1e-300, 1e-30, 1e30, 1e300])
def test_magnitude_does_not_matter(magnitude):
  reference = normal(50) * magnitude
  assert compare(reference * (1 + 1e-12), reference).status == SAME
  found = compare(reference * (1 + 1e-6), reference)
  assert found.status == DIFFERENT
  assert 1e-7 < found.error < 2e-6


class TestZero:
  """Trap 13: gradients that are zero but for rounding."""

  def test_rounding_of_zero_is_zero_beside_the_section(self):
    found = compare(1e-17 * normal(20), 1e-17 * normal(20, seed=1), scale=0.1)
    assert found.status == SAME
    assert found[1:4] == (0.0, 0.0, 1e-9)
    assert found.reason.startswith("zero within rounding: ")

  @pytest.mark.parametrize("scale", [0.0, 1e-6])
  def test_it_is_not_where_the_section_is_as_small(self, scale):
    assert compare(1e-17 * normal(20), 1e-17 * normal(20, seed=1), scale=scale).status == DIFFERENT

  def test_both_sides_must_be(self):
    assert compare(np.zeros(20), 1e-6 * normal(20), scale=1.0).status == DIFFERENT
    assert compare(1e-6 * normal(20), np.zeros(20), scale=1.0).status == DIFFERENT
    assert compare(np.zeros(20), np.zeros(20), scale=1.0).status == SAME
    assert compare(np.zeros(20), np.zeros(20)) == (SAME, 0.0, 0.0, 1e-9, "")

  def test_below_float64_it_is_as_large_as_the_noise(self):
    """The original may be lucky: exactly zero where the candidate rounds."""
    golden, exact = 1e-17 * normal(20), np.zeros(20)
    judge = lambda size, **options: (
      compare(
        size * normal(20, seed=1),
        exact,
        golden=golden,
        precision="bfloat16",
        pool=0.02,
        **options,
      ).status
    )
    assert judge(1e-4, scale=0.01) == SAME
    assert judge(1e-3, scale=0.01) == DIFFERENT
    assert judge(1e-4) == DIFFERENT
    tiny = compare(exact, exact, golden=1e-6 * normal(20), precision="bfloat16", scale=0.01)
    assert tiny.reason == ""

  def test_the_limit_is_as_stated(self):
    one = np.array([0.9, -0.5]) * verdict.ZERO
    assert compare(one, -one, scale=1.0).status == SAME
    assert compare(1.2 * one, -one, scale=1.0).status == DIFFERENT


class TestRounding:
  """Differences of large numbers."""

  def test_changes_may_be_off_by_the_rounding_of_what_changed(self):
    base, update = 1.0 + np.arange(4.0), 1e-9 * normal(4)
    changes = (base + update) - base
    assert compare(changes, update).status == DIFFERENT
    assert compare(changes, update, rounding=1e-15 * base).status == SAME
    assert compare(1.001 * update, update, rounding=1e-15 * base).status == DIFFERENT


class TestTwin:
  """What the candidate makes of inputs that are moved a little."""

  def test_noise_that_was_measured_passes_and_says_so(self):
    reference = normal(50)
    found = compare(reference + 1e-7, reference, twin=Noise(1e-7, 1e-8))
    assert found.status == SAME
    assert found.reason == "moves as far when its inputs move by a few roundings"
    assert compare(reference + 1e-6, reference, twin=Noise(1e-7, 1e-8)).status == DIFFERENT

  def test_it_says_nothing_where_it_is_not_needed(self):
    assert compare(normal(9), normal(9), twin=Noise(1e-7, 1e-8)).reason == ""


class TestLow:
  """float32 and bfloat16: the original's own error is the measure."""

  PRECISIONS = (("float32", 2.0**-23), ("bfloat16", 2.0**-7))

  @pytest.mark.parametrize(("precision", "epsilon"), PRECISIONS)
  @pytest.mark.parametrize("size", [1, 4, 64, 4096])
  def test_an_error_like_the_originals_is_the_same(self, precision, epsilon, size):
    for seed in range(50):
      golden = normal(size, seed=seed)
      reference = rounded(golden, epsilon, seed + 1000)
      candidate = rounded(golden, epsilon, seed + 2000)
      found = compare(candidate, reference, golden=golden, precision=precision, pool=epsilon)
      assert found.status == SAME, (seed, found)

  @pytest.mark.parametrize(("precision", "epsilon"), PRECISIONS)
  @pytest.mark.parametrize("size", [64, 4096])
  def test_ten_times_the_error_is_different(self, precision, epsilon, size):
    golden = normal(size)
    reference = rounded(golden, 4 * epsilon)
    candidate = rounded(golden, 4 * epsilon, seed=2, times=10)
    found = compare(candidate, reference, golden=golden, precision=precision)
    assert found.status == DIFFERENT
    assert found.error > found.limit > found.noise > 0

  def test_one_element_far_off_is_different(self):
    golden = normal(10_000)
    candidate = rounded(golden, 2.0**-23, seed=2)
    candidate[77] += 0.001
    reference = rounded(golden, 2.0**-23)
    found = compare(candidate, reference, golden=golden, precision="float32")
    assert found.status == DIFFERENT

  def test_a_small_bias_everywhere_is_different_in_the_mean(self):
    golden = normal(100_000)
    reference = rounded(golden, 2.0**-23)
    candidate = rounded(golden, 2.0**-23, seed=2) * (1 + 8e-7)
    found = compare(candidate, reference, golden=golden, precision="float32")
    assert found.status == DIFFERENT
    assert found.reason == "in the mean (rms)"

  @pytest.mark.parametrize(("times", "status"), [(1.5, SAME), (3.0, DIFFERENT)])
  def test_the_mean_error_may_be_twice_the_originals(self, times, status):
    golden = normal(10_000)
    reference = rounded(golden, 1e-4)
    candidate = rounded(golden, 1e-4, seed=2, times=times)
    found = compare(candidate, reference, golden=golden, precision="float32")
    assert found.status == status
    assert found.reason == ("in the mean (rms)" if status == DIFFERENT else "")

  def test_an_original_that_happens_to_be_exact_leaves_room_for_a_rounding(self):
    golden = normal(64)
    candidate = golden.astype(np.float32)
    assert compare(candidate, golden, golden=golden, precision="float32").status == SAME
    assert (
      compare(candidate * 1.00001, golden, golden=golden, precision="float32").status == DIFFERENT
    )

  def test_a_loss_that_happens_to_be_exact_has_the_noise_of_the_others(self):
    golden, exact = np.float64(1.5), np.float64(1.5)
    candidate = np.float64(1.5 * (1 + 3e-6))
    judge = lambda pool: compare(candidate, exact, golden=golden, precision="float32", pool=pool)
    assert judge(0.0).status == DIFFERENT
    assert judge(2e-6).status == SAME
    assert judge(2e-7).status == DIFFERENT

  def test_others_do_not_count_where_there_are_many_values(self):
    golden = normal(100_000)
    candidate = rounded(golden, 2.0**-23, times=30)
    reference = rounded(golden, 2.0**-23)
    judged = compare(candidate, reference, golden=golden, precision="float32", pool=1e-4)
    assert judged.status == DIFFERENT

  def test_zero_in_float64_is_as_large_as_its_noise(self):
    golden, noise = np.zeros(100), 1e-8 * normal(100)
    judge = lambda values: compare(values, noise, golden=golden, precision="float32").status
    assert judge(1e-8 * normal(100, seed=3)) == SAME
    assert judge(1e-6 * normal(100, seed=3)) == DIFFERENT
    assert compare(noise, golden, golden=golden, precision="float32").status == DIFFERENT

  def test_a_twin_widens_both_limits(self):
    golden = normal(1000)
    candidate, reference = golden + 1e-5, rounded(golden, 2.0**-23)
    judge = lambda twin: (
      compare(candidate, reference, golden=golden, precision="float32", twin=twin).status
    )
    assert judge(Noise(1e-5, 1e-5)) == SAME
    assert judge(Noise(1e-5, 1e-7)) == DIFFERENT
    assert judge(Noise(1e-7, 1e-5)) == DIFFERENT


def test_noise_is_relative():
  golden = normal(1000)
  found = verdict.noise(golden * (1 + 1e-5), golden)
  assert found.largest == pytest.approx(1e-5)
  assert found.mean == pytest.approx(1e-5)
  assert verdict.noise(golden, golden) == (0.0, 0.0)
