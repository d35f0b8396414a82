"""Lets TensorFlow's optimizers compute in float64 where they say float32.

Rates, decays and momenta are float32 in them, whatever the variables are: against an original that
keeps them as Python numbers, a step is off by 6e-8 of itself, and nothing can be judged to 1e-9.
While `double` lasts, the modules of optimizers and schedules find float64 under the name of
float32. What is computed is as they have it.
"""

import contextlib
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

_PACKAGES = ("tf_keras.src.optimizers", "official.modeling.optimization")
_BINARY = ("add", "divide", "maximum", "minimum", "multiply", "pow", "subtract")


class _Double(types.ModuleType):
  """TensorFlow, with float64 in place of float32 and as the dtype of Python numbers."""

  float32 = tf.float64

  def __init__(self, module: types.ModuleType) -> None:
    super().__init__(module.__name__)
    self.__dict__["_module"] = module

  def __getattr__(self, name: str) -> Any:
    found = getattr(self._module, name)
    if name not in _BINARY:
      return found
    return lambda a, b, **kwargs: found(_as_double(a), _as_double(b), **kwargs)

  def cast(self, value: Any, dtype: Any, **kwargs: Any) -> tf.Tensor:
    return tf.cast(_as_double(value), dtype, **kwargs)

  def constant(self, value: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> tf.Tensor:
    return tf.constant(_as_double(value), dtype, *args, **kwargs)

  def convert_to_tensor(self, value: Any, dtype: Any = None, **kwargs: Any) -> tf.Tensor:
    return tf.convert_to_tensor(_as_double(value), dtype, **kwargs)


def _as_double(value: Any) -> Any:
  """A Python number as numpy's, whose dtype TensorFlow takes over."""
  return np.float64(value) if isinstance(value, float) else value


@contextlib.contextmanager
def double(optimizer: Any = None) -> Iterator[None]:
  """Shows float64 under the name of float32 to Keras' and TFMG's optimizers and schedules.

  Args:
    optimizer: one whose class may come from elsewhere; its modules are shown the same.
  """
  names = {name for name in sys.modules if name.startswith(_PACKAGES)}
  names |= {base.__module__ for base in type(optimizer).__mro__}
  floatx = tf_keras.backend.floatx()
  with contextlib.ExitStack() as stack:
    stack.callback(tf_keras.backend.set_floatx, floatx)
    tf_keras.backend.set_floatx("float64")
    for name in sorted(names):
      module = sys.modules[name]
      own = vars(module).get("tf")
      if isinstance(own, types.ModuleType) and not isinstance(own, _Double):
        stack.callback(setattr, module, "tf", own)
        module.tf = _Double(own)
    yield
