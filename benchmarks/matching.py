"""MaskFormer's matching, 8 images of 100 queries x 100 targets on the CPU: ours beside others.

CPU milliseconds a batch, compilation apart. SciPy runs in the host's Python, which no accelerator
can call; upstream (`official.projects.detr.ops.matchers`) takes padded targets as real ones of cost
zero, the cheapest for its algorithm. Totals are compared with SciPy's.
"""

import time
from collections.abc import Callable

import numpy as np

from official.cli.app import prepare_tensorflow

_BATCH, _SIZE, _REPEATS = 8, 100, 3
_FEW = 20  # Valid targets in the padded kinds; COCO has 10 a picture, ADE20K 9.


def main() -> None:
  """Prints one row a kind of cost."""
  prepare_tensorflow()
  sides = {"scipy": _scipy, **_ours(), **_upstream()}
  print(f"matching: {_BATCH}x{_SIZE}x{_SIZE}; CPU ms a batch (! where the total is not SciPy's)")
  for name, (cost, valid) in _kinds().items():
    best = _total(cost, valid, _scipy(cost, valid))
    figures = []
    for side, match in sides.items():
      queries, milliseconds = _measure(match, cost, valid)
      exact = np.isclose(_total(cost, valid, queries), best, rtol=1e-9)
      figures.append(f"{side} {milliseconds:7.1f}{' ' if exact else '!'}")
    print(f"  {name:16} {'  '.join(figures)}")


def _kinds() -> dict[str, tuple[np.ndarray, np.ndarray]]:
  rng = np.random.default_rng(0)
  everything = np.ones([_BATCH, _SIZE], bool)
  few = np.arange(_SIZE) < np.full([_BATCH, 1], _FEW)
  uniform = rng.random([_BATCH, _SIZE, _SIZE]).astype(np.float32)
  masks = np.stack([_maskformer_like(rng) for _ in range(_BATCH)]).astype(np.float32)
  places = np.arange(1, _SIZE + 1, dtype=np.float32)
  products = np.broadcast_to(np.outer(places, places), uniform.shape).copy()
  return {
    "random": (uniform, everything),
    "random, 20 valid": (uniform, few),
    "MaskFormer": (masks, everything),
    "MaskFormer, 20": (masks, few),
    "all equal": (np.ones_like(uniform), everything),
    "worst case": (products, everything),
  }


def _maskformer_like(rng: np.random.Generator) -> np.ndarray:
  """Queries and targets of a common embedding, so that many targets want the same queries."""
  queries, targets = rng.normal(size=[2, _SIZE, 8])
  apart = 1 / (1 + np.exp(queries @ targets.T / 3))
  probability = rng.dirichlet(np.full(134, 0.1), _SIZE)[:, rng.integers(0, 133, _SIZE)]
  return 20 * 0.05 * (apart**2 + rng.random([_SIZE, 1])) + apart - probability


def _scipy(cost: np.ndarray, valid: np.ndarray) -> np.ndarray:
  from scipy.optimize import linear_sum_assignment

  queries = np.full(valid.shape, -1)
  for image, real in enumerate(valid):
    rows, columns = linear_sum_assignment(cost[image][:, real])
    queries[image, np.flatnonzero(real)[columns]] = rows
  return queries


def _ours() -> dict[str, Callable]:
  import tensorflow as tf

  from projects.maskformer.ops.assignment import assign

  return {"ours, graph": tf.function(assign), "ours, XLA": tf.function(assign, jit_compile=True)}


def _upstream() -> dict[str, Callable]:
  import tensorflow as tf

  from official.projects.detr.ops import matchers

  def match(cost: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    padded = tf.where(valid[:, None], cost, 0)
    _, chosen = matchers.hungarian_matching(padded)  # [b, q, n] bool
    queries = tf.argmax(tf.cast(chosen, tf.int32), axis=1, output_type=tf.int32)
    return tf.where(valid, queries, -1)

  return {"upstream, graph": tf.function(match), "XLA": tf.function(match, jit_compile=True)}


def _measure(match: Callable, cost: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, float]:
  queries = np.asarray(match(cost, valid))  # Compiles.
  began = time.process_time()
  for _ in range(_REPEATS):
    match(cost, valid)
  return queries, (time.process_time() - began) / _REPEATS * 1e3


def _total(cost: np.ndarray, valid: np.ndarray, queries: np.ndarray) -> float:
  image, target = np.nonzero(valid)
  return float(cost[image, queries[image, target], target].astype(np.float64).sum())


if __name__ == "__main__":
  main()
