"""What it says of a step that it cannot even be traced."""

import textwrap

import tensorflow as tf

from official.tpu.findings import Finding, Level
from official.tpu.origins import raised_at

# (type of the exception, part of its message) → reason, cure; the first that fits.
_KNOWN = (
  (
    Exception,
    "singleton tf.Variable",
    "the step makes a variable, which a compiled function may not do.",
    "make variables in build_model or in the layer's build",
  ),
  (
    NotImplementedError,
    "numpy array",
    "NumPy is called on a tensor of the step, which has no value while it is traced.",
    "use the function of tf or tf.experimental.numpy of the same name",
  ),
  (
    AttributeError,
    "numpy",
    ".numpy() is called on a tensor of the step, which has no value while it is traced.",
    "keep it a tensor, or do it in aggregate_logs on the host",
  ),
  (
    tf.errors.OperatorNotAllowedInGraphError,
    "",
    "Python asks for the value of a tensor (if, for, bool, in), which has none while it is traced.",
    "use tf.where, tf.cond, tf.while_loop, or a Python value that the configuration fixes",
  ),
)
_MESSAGE = 300


def explain(error: BaseException) -> Finding:
  """What the exception says that tracing a step raised."""
  line = raised_at(error.__traceback__)
  message = textwrap.shorten(str(error), _MESSAGE, placeholder=" …")
  for kind, part, reason, cure in _KNOWN:
    if isinstance(error, kind) and part in str(error):
      return Finding("tracing", Level.ERROR, type(error).__name__, "", line, reason, cure)
  return Finding(
    "tracing", Level.ERROR, type(error).__name__, "", line, message, "mend the step's own code"
  )
