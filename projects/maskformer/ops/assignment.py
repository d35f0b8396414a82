"""Exact linear assignment of targets to queries, a batch at a time, wherever XLA compiles.

Jonker and Volgenant's shortest augmenting paths (Computing 38, 1987): target after target enters,
each by a Dijkstra search over the queries, with their prices as potentials. One loop serves the
whole batch and every image goes on at its own pace, so the loop is as long as the slowest image,
not as the sum of the slowest steps. No collectives, no host: each replica matches its own images.

The search is in float64 whatever the costs are. It adds and subtracts prices for as long as there
are targets; in float32 the rounding of those sums, not the costs, would choose between near ties.
TPUs compute float64 as pairs of float32, which is as good here.
"""

from typing import NamedTuple

import tensorflow as tf

_FINITE = 1e300  # Costs of this size and above count as not finite, so that no sum overflows.


def assign(cost: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
  """The queries of the targets' cheapest assignment, each query used at most once.

  Padded targets take no part in the search: they cost nothing and change nothing. A cost that is
  not finite is worse than any sum of the others: such a pair is taken only where no other is left.
  More valid targets than queries: the first q are assigned, the others are not.

  Args:
    cost: [b, q, n] float, of query and target, in any unit.
    valid: [b, n] bool, False for padding.

  Returns:
    [b, n] int32: the query of each valid target, and −1 for padding. No gradient.
  """
  return _compiled(tf.stop_gradient(cost), valid)


@tf.function(jit_compile=True, autograph=False)
def _compiled(cost: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
  # A loop of thousands of small steps: XLA runs each in some 5 us on a CPU, the graph in 100.
  cost = tf.transpose(cost, [0, 2, 1])
  problem = _problem(cost, valid)
  state = tf.while_loop(
    lambda *state: tf.reduce_any(_State(*state).turn < problem.count),
    lambda *state: _step(problem, _State(*state)),
    _start(problem),
  )
  targets = tf.range(cost.shape[1])
  owned = state.owner[:, None, :] == targets[None, :, None]  # [b, n, q]
  return tf.reduce_max(tf.where(owned, tf.range(cost.shape[2]), -1), axis=2)


class _Problem(NamedTuple):
  """What stays: cost [b, n, q], order [b, n + 1] (valid targets first), count [b] of those, and
  worst [b] float64, the price of what is not finite."""

  cost: tf.Tensor
  order: tf.Tensor
  count: tf.Tensor
  worst: tf.Tensor


class _State(NamedTuple):
  """The search of each image.

  Attributes:
    turn: [b] int32, place in `order` of the target that is entering.
    target: [b] int32 whose costs are looked at next.
    via: [b] int32, the query that led to `target`; −1 where it is the one that is entering.
    slack: [b, q] float64, how much dearer than the last reached each query is; inf once reached.
    before: [b, q] int32, the query before this one on its path; −1 at the path's beginning.
    reached: [b, q] bool.
    owner: [b, q] int32, the target assigned; −1 for free queries.
    price: [b, q] float64; 0 for free queries, else at most 0.
  """

  turn: tf.Tensor
  target: tf.Tensor
  via: tf.Tensor
  slack: tf.Tensor
  before: tf.Tensor
  reached: tf.Tensor
  owner: tf.Tensor
  price: tf.Tensor


def _problem(cost: tf.Tensor, valid: tf.Tensor) -> _Problem:
  order = tf.argsort(tf.cast(~valid, tf.int32), axis=1, stable=True)
  count = tf.reduce_sum(tf.cast(valid, tf.int32), axis=1)
  size = tf.abs(tf.cast(cost, tf.float64))
  usable = (size < _FINITE) & valid[:, :, None]
  largest = tf.reduce_max(tf.where(usable, size, 0), axis=[1, 2])
  # Dearer than exchanging every other pair for its opposite.
  worst = 2 * (cost.shape[1] + 1) * tf.where(largest > 0, largest, 1)
  return _Problem(cost, tf.pad(order, [[0, 0], [0, 1]]), tf.minimum(count, cost.shape[2]), worst)


def _start(problem: _Problem) -> _State:
  turn = tf.zeros_like(problem.count)
  nothing = tf.zeros_like(problem.cost[:, 0], tf.int32)  # [b, q]
  price = tf.cast(nothing, tf.float64)
  return _State(
    turn=turn,
    target=problem.order[:, 0],
    via=turn - 1,
    slack=price,
    before=nothing,
    reached=nothing > 0,
    owner=nothing - 1,
    price=price,
  )


def _step(problem: _Problem, state: _State) -> _State:
  """Looks at one target's costs, reaches the next query, and ends the path where that is free."""
  active = state.turn < problem.count
  slack, before = _relax(problem, state)
  least = tf.reduce_min(slack, axis=1, keepdims=True)
  query, free = _nearest(slack == least, state.owner)
  end = free | ~active
  price = tf.where(state.reached, state.price - least, state.price)
  entering = _at(problem.order, state.turn)
  owner = _exchange(state.owner, before, query, entering, free & active)
  turn = state.turn + tf.cast(free & active, tf.int32)
  reached = state.reached | (tf.range(tf.shape(slack)[1]) == query[:, None])
  return _State(
    turn=turn,
    target=tf.where(end, _at(problem.order, turn), _at(state.owner, query)),
    via=tf.where(end, -1, query),
    slack=slack - least,
    before=before,
    reached=reached & ~end[:, None],
    owner=owner,
    price=price,
  )


def _relax(problem: _Problem, state: _State) -> tuple[tf.Tensor, tf.Tensor]:
  """Slack and predecessors, once the queries can also be reached through `target`."""
  cost = tf.cast(_at(problem.cost, state.target), tf.float64)  # [b, q]
  cost = tf.where(tf.abs(cost) < _FINITE, cost, problem.worst[:, None])
  reduced = cost - state.price
  entering = state.via < 0
  # A path passes through an assigned pair for nothing.
  own = tf.where(entering, tf.cast(0, tf.float64), _at(reduced, tf.maximum(state.via, 0)))
  through = reduced - own[:, None]
  better = ~state.reached & (entering[:, None] | (through < state.slack))
  infinite = tf.constant(float("inf"), tf.float64)
  slack = tf.where(state.reached, infinite, tf.where(better, through, state.slack))
  return slack, tf.where(better, state.via[:, None], state.before)


def _nearest(candidates: tf.Tensor, owner: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Of the candidates [b, q] the first free one, else the first; and whether it is free: [b]."""
  queries = owner.shape[1]
  places = tf.range(queries)
  # Free ones first: among equal costs a search ends at once instead of visiting them all.
  rank = tf.where(owner < 0, places, places + queries)
  rank = tf.reduce_min(tf.where(candidates, rank, 2 * queries), axis=1)
  return rank % queries, rank < queries


def _exchange(
  owner: tf.Tensor, before: tf.Tensor, query: tf.Tensor, entering: tf.Tensor, found: tf.Tensor
) -> tf.Tensor:
  """Hands each query on the path that ends at `query` to the owner of the one before it."""

  def one_back(owner: tf.Tensor, query: tf.Tensor, going: tf.Tensor) -> tuple[tf.Tensor, ...]:
    previous = _at(before, query)
    first = previous < 0
    previous = tf.maximum(previous, 0)
    new = tf.where(first, entering, _at(owner, previous))
    here = tf.range(tf.shape(owner)[1]) == query[:, None]
    owner = tf.where(here & going[:, None], new[:, None], owner)
    return owner, previous, going & ~first

  return tf.while_loop(
    lambda owner, query, going: tf.reduce_any(going), one_back, (owner, query, found)
  )[0]


def _at(values: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
  """[b, m, ...] values and [b] places → [b, ...]."""
  return tf.gather(values, index, batch_dims=1)
