"""Taps of a Keras network: what every layer puts out, and the gradient that comes back.

While they are in place, `tf_keras.layers.Layer.__call__` is replaced, so that nested, shared and
subclassed layers are all seen. Each output is handed on through an operation that changes nothing
and sees the gradient on its way back: it goes to disk and is forgotten.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow.python.eager import record as tape_record

from official.parity.recorders.keras_names import layer_paths
from official.parity.recorders.recorder import Forcing, Pass
from official.parity.recorders.structures import leaves, map_leaves
from official.parity.recorders.taps import Call
from official.parity.recording.header import TapInfo


class Taps:
  """Replaces `Layer.__call__`; a context manager.

  Attributes:
    own_outputs: floating outputs of calls from outside the network, by tap.

  Args:
    network: its layers are tapped.
    current: takes what the taps see.
    forcing: values that replace the taps' own.
    look: is told each call that ends: its name, the layer, arguments, outputs of its own.
  """

  def __init__(
    self,
    network: tf_keras.layers.Layer,
    current: Pass,
    forcing: Forcing | None = None,
    look: Callable[[str, tf_keras.layers.Layer, Any, Any, Any], None] | None = None,
  ) -> None:
    self.own_outputs: dict[str, tf.Tensor] = {}
    self._current = current
    self._log = current.log
    self._forcing = forcing
    self._look = look
    self._paths = {id(layer): path for path, layer in layer_paths(network).items()}
    self._original = tf_keras.layers.Layer.__call__

  def __enter__(self) -> None:
    taps = self

    def tapped(layer: tf_keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
      if id(layer) not in taps._paths or not tf.executing_eagerly():
        return taps._original(layer, *args, **kwargs)
      return taps._call(layer, args, kwargs)

    tf_keras.layers.Layer.__call__ = tapped

  def __exit__(self, *exception: Any) -> None:
    tf_keras.layers.Layer.__call__ = self._original

  def uncalled(self) -> list[str]:
    """Paths of layers that were not called."""
    return [path for path in self._paths.values() if not self._log.called(path)]

  def _call(self, layer: tf_keras.layers.Layer, args: Any, kwargs: Any) -> Any:
    with _as_raised():
      call = self._begin(layer, args, kwargs)
    try:
      outputs = self._original(layer, *args, **kwargs)
    finally:
      self._log.end()
    with _as_raised():
      if self._look:
        self._look(call.name, layer, args, kwargs, outputs)
      return map_leaves(lambda leaf, output: self._tap(call, leaf, output), outputs)

  def _begin(self, layer: tf_keras.layers.Layer, args: Any, kwargs: Any) -> Call:
    given = [(name, leaf) for name, leaf in leaves((args, kwargs)) if tf.is_tensor(leaf)]
    call = self._log.begin(self._paths[id(layer)], layer, [(tensor, 0) for _, tensor in given])
    for name, tensor in given:
      if tensor.dtype.is_floating and not self._log.name_of(tensor):
        self._current.given(call, name, to_numpy(tensor))
    return call

  def _tap(self, call: Call, leaf: str, output: Any) -> Any:
    """Records an output; returns what the caller is handed in its place."""
    if not isinstance(output, tf.Tensor | tf.Variable):
      self._current.unknown(call, leaf, output)
      return output
    output = tf.convert_to_tensor(output)
    array = to_numpy(output)
    tap = self._log.add(call, leaf, array.shape, array.dtype.name)
    self._current.keep("output", tap.name, array)
    handed = self._pass_on(tap, output, self._forced(tap, output))
    if (mask := getattr(output, "_keras_mask", None)) is not None:
      handed._keras_mask = mask
    self._log.hold(tap, handed)
    if not tap.parent and output.dtype.is_floating:
      self.own_outputs[tap.name] = handed
    return handed

  def _forced(self, tap: TapInfo, output: tf.Tensor) -> tf.Tensor:
    value = self._forcing.output(tap.name) if self._forcing else None
    if value is None or value.shape != tap.shape:
      return output
    return tf.constant(value, output.dtype)

  def _pass_on(self, tap: TapInfo, output: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """`value`, whose gradient is that of `output`, and is seen on its way."""
    # Not tf.custom_gradient, which keeps every output alive until its gradient has come.
    with tape_record.stop_recording():
      handed = tf.identity(value)
    if self._current.training and output.dtype.is_floating:
      reaches = tape_record.should_record_backprop([output])
      self._current.expect(tap.name, "unused" if reaches else "constant")
      tape_record.record_operation("ParityTap", [handed], [output], self._on_gradient(tap))
    return handed

  def _on_gradient(self, tap: TapInfo) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    def record(gradient: tf.Tensor) -> list[tf.Tensor]:
      gradient = tf.convert_to_tensor(gradient)
      self._current.arrive(tap.name, to_numpy(gradient))
      value = self._forcing.upstream(tap.name) if self._forcing else None
      if value is None or value.shape != tap.shape:
        return [gradient]
      return [tf.constant(value, gradient.dtype)]

    return record


@contextlib.contextmanager
def _as_raised() -> Iterator[None]:
  """Errors of ours (a full disk) pass through layers' calls as they are; Keras rewords others."""
  try:
    yield
  except Exception as error:
    error._keras_call_info_injected = True
    raise


def to_numpy(tensor: Any) -> np.ndarray:
  """Values of a tensor, sharing its memory where that is possible; sparse gradients in full."""
  tensor = tf.convert_to_tensor(tensor)
  if tensor.dtype.is_floating and tensor.dtype != tf.bfloat16:
    return np.asarray(memoryview(tensor))
  return tensor.numpy()
