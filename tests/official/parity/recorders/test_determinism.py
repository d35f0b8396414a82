"""What two or three runs of a pass prove, on runs made up."""

import ml_dtypes
import numpy as np
import pytest

from official.parity.recorders.determinism import Digest, prove

X = np.arange(12.0).reshape(3, 4)


def digest(arrays, pair=None):
  made = Digest()
  for name, array in arrays.items():
    made.add(name, array)
  if pair:
    made.compare(*pair)
  return made


@pytest.mark.parametrize(
  "other",
  [
    np.where(X == 5, np.nextafter(5, 6), X),
    X.T,
    X.reshape(4, 3),
    X.astype(np.float32),
    np.where(X == 0, -0.0, X),
    X[:, ::-1],
  ],
)
def test_fingerprints_tell_every_bit_shape_and_dtype(other):
  assert digest({"a": X}).differences(digest({"a": X.copy()})) == []
  assert digest({"a": X}).differences(digest({"a": other})) == ["a"]


def test_names_of_one_side_only_are_differences():
  assert digest({"a": X, "b": X}).differences(digest({"a": X, "c": X})) == ["b", "c"]


def test_low_precision_has_fingerprints_too():
  low = X.astype(ml_dtypes.bfloat16)
  assert digest({"a": low}).differences(digest({"a": low + 1})) == ["a"]


def test_equal_runs_prove_it_without_a_third():
  runs = []
  proof = prove(
    "it", lambda check: runs.append(check) or digest({"a": X}), lambda: digest({"a": X})
  )
  assert proof.holds
  assert runs == [False]
  assert proof.sentence == "it: 1 arrays are the same with taps and without"


def of(first, seen, second, pair=None):
  """The proof of three runs; `pair` is compared in the third."""
  return prove(
    "it", lambda check: digest(second, pair) if check else digest(first), lambda: digest(seen)
  )


def test_what_differs_between_untapped_runs_is_not_deterministic():
  proof = of({"a": X, "b": X}, {"a": X, "b": X + 1}, {"a": X, "b": X + 2})
  assert not proof.deterministic
  assert not proof.holds
  assert proof.sentence == "it: two runs differ in b; it is not deterministic"


def test_what_differs_only_with_taps_is_their_doing():
  arrays = {"result": X, "gradient w": X}
  proof = of(arrays, {"result": X + 1e-15, "gradient w": X}, arrays)
  assert proof.deterministic
  assert not proof.harmless
  proof = of(arrays, {"result": X + 1, "gradient w": X + 1}, arrays)
  assert proof.sentence == "it: taps change result and 1 more; two runs without agree"


@pytest.mark.parametrize(
  ("off", "harmless"), [(1e-15, True), (1e-12, False), (np.nan, False), (np.inf, False)]
)
def test_gradients_alone_may_be_off_by_rounding(off, harmless):
  other = X + np.where(X > 0, off, 0)
  arrays, seen = {"gradient w": X}, {"gradient w": other}
  proof = of(arrays, seen, arrays, (other, X))
  assert proof.deterministic
  assert proof.harmless is harmless
  assert ("off by rounding" in proof.sentence) is harmless


def test_rounding_is_that_of_the_dtype():
  low = X.astype(np.float32)
  arrays, seen = {"gradient w": low}, {"gradient w": low * np.float32(1 + 1e-6)}
  assert of(arrays, seen, arrays, (seen["gradient w"], low)).harmless
  seen = {"gradient w": low * np.float32(1 + 1e-3)}
  assert not of(arrays, seen, arrays, (seen["gradient w"], low)).harmless


def test_equal_values_of_other_bits_are_harmless():
  arrays, seen = {"gradient w": np.zeros(2)}, {"gradient w": -np.zeros(2)}
  assert of(arrays, seen, arrays, (-np.zeros(2), np.zeros(2))).harmless
