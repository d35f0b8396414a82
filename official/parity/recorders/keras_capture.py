"""One call of a Keras layer, taken out of a pass, to be made again."""

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tf_keras.src.engine import base_layer_utils

from official.parity.case import Side
from official.parity.recorders.keras_state import prepared
from official.parity.recorders.keras_taps import Taps
from official.parity.recorders.recorder import Batch, Forcing, Pass
from official.parity.recorders.structures import leaves


@dataclasses.dataclass(frozen=True)
class LayerCall:
  """A call as it happened.

  Attributes:
    layer: the layer itself.
    args: positional arguments, tensors as the layer was given them.
    kwargs: the others.
    training: whether the call ran in training mode.
    outputs: what the layer returned, by leaf name, before anything was forced.
  """

  layer: tf_keras.layers.Layer
  args: tuple[Any, ...]
  kwargs: Mapping[str, Any]
  training: bool
  outputs: Mapping[str, np.ndarray]

  def replay(self) -> Any:
    """Calls the layer again, in the same mode; moving statistics move."""
    mode = {"training": self.training}
    context = base_layer_utils.call_context()
    with context.enter(self.layer, None, build_graph=False, call_context_args=mode):
      return self.layer(*self.args, **self.kwargs)


class _Ended(Exception):
  """Ends the pass: what follows the call need not run."""


def capture(
  side: Side, batch: Batch, phase: str, call: str, forcing: Forcing | None = None, seed: int = 0
) -> LayerCall:
  """Runs a pass as `KerasRecorder` does until a call ends, and returns that call.

  Args:
    side: the candidate.
    batch: as recorded.
    phase: "eval" or "train".
    call: name of the call: a tap's name without its leaf.
    forcing: values of taps, so that the call is given the original's inputs.
    seed: as recorded.

  Raises:
    KeyError: there is no such call.
  """
  current = Pass(phase, None)
  found: list[LayerCall] = []

  def look(name: str, layer: tf_keras.layers.Layer, args: Any, kwargs: Any, outputs: Any) -> None:
    if name == call:
      training = _training(layer, args, kwargs, current.training)
      arrays = {leaf: x.numpy() for leaf, x in leaves(outputs) if tf.is_tensor(x)}
      found.append(LayerCall(layer, args, kwargs, training, arrays))
      raise _Ended

  with (
    contextlib.suppress(_Ended),
    prepared(side.network, seed),
    Taps(side.network, current, forcing, look),
  ):
    side.forward({name: tf.constant(array) for name, array in batch.items()}, current.training)
  if not found:
    raise KeyError(f"{side.network.name} makes no call '{call}' in {phase}")
  return found[0]


def _training(layer: tf_keras.layers.Layer, args: Any, kwargs: Any, default: bool) -> bool:
  """The mode as Keras finds it: the layer's own argument, else that of the calls around it."""
  spec = layer._call_spec
  if spec.expects_training_arg and spec.arg_was_passed(
    "training", args, kwargs, inputs_in_args=True
  ):
    own = spec.get_arg_value("training", args, kwargs, inputs_in_args=True)
    if own is not None:
      return bool(own)
  outer = base_layer_utils.call_context().training
  return default if outer is None else bool(outer)
