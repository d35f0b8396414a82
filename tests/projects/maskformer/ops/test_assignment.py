"""Assignments against SciPy's, on random and adversarial costs."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

from projects.maskformer.ops.assignment import assign

BATCH, QUERIES, TARGETS = 20, 12, 12

# What the costs [q, n] of one image look like.
KINDS = {
  "uniform": lambda rng, shape: rng.random(shape),
  "normal": lambda rng, shape: rng.normal(size=shape),
  "equal": lambda rng, shape: np.full(shape, rng.normal()),
  "ties": lambda rng, shape: rng.integers(0, 3, shape),
  "zeros": lambda rng, shape: rng.random(shape) * (np.arange(shape[1]) < shape[1] // 2),
  "huge": lambda rng, shape: rng.normal(size=shape) * 1e30,
  "tiny": lambda rng, shape: rng.normal(size=shape) * 1e-30,
  "near ties": lambda rng, shape: 1 + rng.integers(0, 9, shape) * 2.0**-20,
  "offsets": lambda rng, shape: rng.random(shape) + 1e3 * rng.random(shape[:1] + (1,)),
  # Products of places: every target wants the same queries, and paths are as long as can be.
  "products": lambda rng, shape: np.outer(np.arange(1, shape[0] + 1), np.arange(1, shape[1] + 1)),
}
VALID = {
  "all": lambda rng, count: np.ones(count, bool),
  "none": lambda rng, count: np.zeros(count, bool),
  "one": lambda rng, count: np.arange(count) == rng.integers(count),
  "first": lambda rng, count: np.arange(count) <= rng.integers(count),
  "scattered": lambda rng, count: rng.random(count) < 0.5,
}


def _problems(kind, seed, shape=(QUERIES, TARGETS), dtype=np.float32):
  """A batch of costs of one kind, with every kind of padding in turn."""
  rng = np.random.default_rng(seed)
  cost = np.stack([KINDS[kind](rng, shape) for _ in range(BATCH)]).astype(dtype)
  valid = np.stack([list(VALID.values())[i % len(VALID)](rng, shape[1]) for i in range(BATCH)])
  return cost, valid


def _check(cost, valid, queries):
  """Distinct queries, −1 for padding, and SciPy's total, both summed in float64."""
  for image in range(len(cost)):
    real = cost[image].astype(np.float64)[:, valid[image]]
    chosen = queries[image, valid[image]]
    assert (queries[image, ~valid[image]] == -1).all()
    assert len(set(chosen)) == len(chosen)
    assert ((chosen >= 0) & (chosen < cost.shape[1])).all()
    rows, columns = linear_sum_assignment(real)
    best = real[rows, columns].sum()
    total = real[chosen, np.arange(len(chosen))].sum()
    np.testing.assert_allclose(total, best, rtol=1e-12, atol=1e-12 * np.abs(real[chosen]).sum())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_totals_equal_scipys(kind, dtype):
  """10 kinds × 5 seeds × 20 images = 1,000, in either precision."""
  for seed in range(5):
    cost, valid = _problems(kind, seed, dtype=dtype)
    _check(cost, valid, assign(tf.constant(cost), tf.constant(valid)).numpy())


@pytest.mark.parametrize("shape", [(1, 1), (12, 1), (17, 5), (100, 100)])
def test_other_numbers_of_queries_and_targets(shape):
  cost, valid = _problems("uniform", 0, shape)
  _check(cost, valid, assign(tf.constant(cost), tf.constant(valid)).numpy())


def test_room_for_more_targets_than_queries():
  cost, _ = _problems("uniform", 0, (6, 10))
  valid = np.stack([np.random.default_rng(i).permutation(10) < i % 7 for i in range(BATCH)])
  _check(cost, valid, assign(tf.constant(cost), tf.constant(valid)).numpy())


def test_more_valid_targets_than_queries_leaves_the_last_out():
  cost, _ = _problems("uniform", 0, (6, 10))
  valid = np.arange(10) < np.arange(BATCH)[:, None] % 11
  queries = assign(tf.constant(cost), tf.constant(valid)).numpy()
  first = valid & (np.arange(10) < 6)
  _check(cost, first, queries)


def test_near_ties_within_float32s_rounding_of_their_sum():
  """Two assignments that differ by 2⁻²⁰ of one cost beside another's 2¹⁰."""
  cost = np.zeros([1, 3, 3], np.float32)
  cost[0] = [[1024, 9, 9], [9, 1, 1], [9, 1, 1 + 2.0**-20]]
  cost[0, :, 0] = [1024, 2048, 2048]
  queries = assign(tf.constant(cost), tf.ones([1, 3], tf.bool)).numpy()
  np.testing.assert_array_equal(queries, [[0, 2, 1]])


@pytest.mark.parametrize("kind", ["uniform", "ties"])
def test_what_padding_holds_does_not_matter(kind):
  cost, valid = _problems(kind, 1)
  clean = assign(tf.constant(cost), tf.constant(valid)).numpy()
  for junk in (0, -1e5, 1e30, np.nan, np.inf, -np.inf):
    dirty = np.where(valid[:, None], cost, np.float32(junk))
    np.testing.assert_array_equal(assign(tf.constant(dirty), tf.constant(valid)), clean)


@pytest.mark.parametrize("junk", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("scale", [1e-20, 1, 1e20])
def test_pairs_that_are_not_finite_are_taken_only_where_no_other_is_left(junk, scale):
  rng = np.random.default_rng(0)
  cost = (rng.normal(size=[BATCH, QUERIES, TARGETS]) * scale).astype(np.float32)
  bad = rng.random(cost.shape) < 0.6
  valid = np.ones([BATCH, TARGETS], bool)
  queries = assign(tf.constant(np.where(bad, np.float32(junk), cost)), tf.constant(valid)).numpy()
  # The best of SciPy's that avoids them as far as it can: they cost more than all others together.
  real = np.where(bad, 1e3 * scale, cost.astype(np.float64))
  _check(real, valid, queries)


def test_ends_where_nothing_is_finite():
  cost = tf.fill([2, 5, 4], np.float32(np.nan))
  queries = assign(cost, tf.ones([2, 4], tf.bool)).numpy()
  assert all(len(set(row)) == 4 for row in queries)


def test_images_alone_are_matched_as_in_a_batch():
  cost, valid = _problems("normal", 2)
  together = assign(tf.constant(cost), tf.constant(valid)).numpy()
  for image in range(BATCH):
    alone = assign(tf.constant(cost[image : image + 1]), tf.constant(valid[image : image + 1]))
    np.testing.assert_array_equal(alone[0], together[image])


@pytest.mark.parametrize("jit", [False, True])
def test_the_same_in_graphs_of_any_batch_size_and_under_xla(jit):
  cost, valid = _problems("normal", 3)
  eager = assign(tf.constant(cost), tf.constant(valid)).numpy()
  specs = [tf.TensorSpec([None, QUERIES, TARGETS]), tf.TensorSpec([None, TARGETS], tf.bool)]
  compiled = tf.function(assign, jit_compile=jit, input_signature=specs)
  np.testing.assert_array_equal(compiled(cost, valid), eager)
  np.testing.assert_array_equal(compiled(cost[:3], valid[:3]), eager[:3])


def test_no_gradient_passes():
  cost, valid = (tf.constant(x) for x in _problems("normal", 4))
  with tf.GradientTape() as tape:
    tape.watch(cost)
    queries = assign(cost, valid)
    total = tf.reduce_sum(tf.gather(cost, tf.maximum(queries, 0), batch_dims=1))
  assert queries.dtype == tf.int32
  assert tape.gradient(total, cost) is not None


def test_no_reduction_across_replicas_and_no_host_call():
  """Each replica matches alone: the compiled program has neither collectives nor callbacks."""
  program = tf.function(assign, jit_compile=True)
  cost, valid = (tf.constant(x) for x in _problems("normal", 5))
  text = program.experimental_get_compiler_ir(cost, valid)(stage="optimized_hlo")
  assert "while(" in text
  for word in ("all-reduce", "all-gather", "custom-call", "infeed", "outfeed", "send("):
    assert word not in text
