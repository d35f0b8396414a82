"""LiteRT: a function as one file, in float32 or in 8-bit integers, and the file run again."""

import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from official.cli.errors import UserError

Arrays = dict[str, np.ndarray]


def convert(
  function: Callable[..., Mapping[str, tf.Tensor]],
  signature: Sequence[tf.TensorSpec],
  examples: Iterable[Sequence[np.ndarray]] | None = None,
) -> bytes:
  """A LiteRT file of `function`, made of LiteRT's own operations alone.

  Args:
    function: of named tensors of static shape, to tensors by name; its variables become constants.
    signature: what it takes.
    examples: None: everything stays float32. Else weights and activations become 8-bit integers
      (Jacob et al. 2018), activations by the ranges that these inputs, one by one, show; what goes
      in and comes out keeps its type.
  """
  module = tf.Module()
  module.call = tf.function(function, input_signature=signature, autograph=False)
  module.held = module.call.get_concrete_function().variables
  with tempfile.TemporaryDirectory() as folder:
    # Of a function by itself, integers would lose the signature.
    tf.saved_model.save(module, folder, {"serving_default": module.call})
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    if examples is not None:
      converter.optimizations = [tf.lite.Optimize.DEFAULT]
      converter.representative_dataset = lambda: iter(examples)
    return converter.convert()


class LiteFunction:
  """What `convert` wrote, on the CPU.

  Attributes:
    inputs: names and shapes of what it takes.

  Args:
    path: of the file.

  Raises:
    UserError: the file cannot be read, or is damaged.
  """

  def __init__(self, path: Path) -> None:
    try:
      with warnings.catch_warnings():
        # It is to move to a package of its own, which TensorFlow does not install.
        warnings.filterwarnings("ignore", message=r"(?s).*tf\.lite\.Interpreter is deprecated")
        self._interpreter = tf.lite.Interpreter(model_content=path.read_bytes())
      self._interpreter.allocate_tensors()
      self._run = self._interpreter.get_signature_runner()
    except OSError as error:
      raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RuntimeError) as error:
      raise UserError(f"{path}: no LiteRT file, or damaged: {error}") from error
    details = self._run.get_input_details()
    self.inputs = {name: tuple(detail["shape"]) for name, detail in details.items()}

  def __call__(self, **inputs: np.ndarray) -> Arrays:
    """Outputs by name; inputs have the shapes and types that were converted."""
    return self._run(**inputs)
