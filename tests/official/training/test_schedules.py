"""Learning rates against detectron2's formulas, written out by hand."""

import numpy as np
import pytest
import tensorflow as tf

from official.modeling import optimization
from official.training.optimizers import OptimizationConfig

# MaskFormer's Swin on ADE20K: (factor · (1 − i/1500) + i/1500) · (1 − i/160000)^0.9 · 6e-5.
POLY = {
  0: 6e-11,
  1: 4.0059734662654585e-08,
  750: 2.9873437659212585e-05,
  1499: 5.945418716668138e-05,
  1500: 5.94935118755392e-05,
  80000: 3.21532038760888e-05,
  159999: 1.2429202564998878e-09,
  160000: 0.0,
}
# Its networks on COCO: a tenth from iteration 369600 on, itself included.
STEPS = {0: 1e-4, 369599: 1e-4, 369600: 1e-5, 554399: 1e-5}


def _build(learning_rate, warmup=None):
  warmup = {"type": "product", "product": warmup} if warmup else {}
  config = OptimizationConfig(
    {
      "optimizer": {"type": "adamw_torch"},
      "learning_rate": {"type": next(iter(learning_rate)), **learning_rate},
      "warmup": warmup,
    }
  )
  return optimization.OptimizerFactory(config).build_learning_rate()


def _poly(rate=6e-5, steps=160000, warmup=None):
  return _build({"poly": {"initial_learning_rate": rate, "decay_steps": steps}}, warmup)


def _steps(warmup=None):
  return _build({"steps": {"initial_learning_rate": 1e-4, "boundaries": [369600]}}, warmup)


@pytest.mark.parametrize(
  ("schedule", "table"),
  [(_poly(warmup={"warmup_steps": 1500, "factor": 1e-6}), POLY), (_steps(), STEPS)],
)
def test_values_are_those_of_the_table(schedule, table):
  for step, rate in table.items():
    exact = schedule(tf.constant(step, tf.float64))
    assert exact.dtype == tf.float64
    np.testing.assert_allclose(exact, rate, rtol=1e-13)
    logged = schedule(tf.constant(step, tf.int64))
    assert logged.dtype == tf.float32
    np.testing.assert_allclose(logged, rate, rtol=2e-2)  # 1 − 159999/160000 has few digits.


def test_values_are_detectron2s_step_by_step():
  warm = {"warmup_steps": 7, "factor": 1e-3}
  schedule = _poly(2.0, 20, warm)
  for step in range(21):
    share = 1.0 if step >= 7 else 1e-3 * (1 - step / 7) + step / 7
    expected = 2.0 * share * (1 - step / 20) ** 0.9
    np.testing.assert_allclose(schedule(tf.constant(step, tf.float64)), expected, rtol=1e-14)
  # Beyond the last step the rate stays zero, where the formula has no value.
  assert schedule(tf.constant(30, tf.float64)) == 0


def test_rates_fall_at_each_boundary():
  schedule = _build(
    {"steps": {"initial_learning_rate": 1.0, "boundaries": [3, 5], "factor": 0.5}},
    {"warmup_steps": 2, "factor": 0.5},
  )
  rates = [float(schedule(tf.constant(step, tf.float64))) for step in range(7)]
  assert rates == [0.5, 0.75, 1.0, 0.5, 0.5, 0.25, 0.25]
