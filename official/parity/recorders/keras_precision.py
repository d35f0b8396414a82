"""In which precision a candidate computes."""

import contextlib
from collections.abc import Iterator

import tf_keras

_POLICIES = {"float64": "float64", "float32": "float32", "bfloat16": "mixed_bfloat16"}


@contextlib.contextmanager
def computing_in(precision: str) -> Iterator[None]:
  """Layers made inside compute in `precision`; below float32 their variables stay float32."""
  before = tf_keras.mixed_precision.global_policy()
  tf_keras.mixed_precision.set_global_policy(_POLICIES[precision])
  try:
    yield
  finally:
    tf_keras.mixed_precision.set_global_policy(before)
