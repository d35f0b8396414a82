"""What is set before a model is built."""

import pytest
import tensorflow as tf

from official.training import environment
from tests.official.training import fake


@pytest.mark.parametrize(("strategy", "times"), [("one_device", 1), ("tpu", 0)])
def test_tpus_are_not_asked_for_determinism(strategy, times, monkeypatch):
  asked = []
  monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: asked.append(None))
  monkeypatch.setattr(environment, "_strategy", lambda runtime: None)
  params = fake.fake()
  params.runtime.distribution_strategy = strategy
  environment.prepare(params)
  assert len(asked) == times
