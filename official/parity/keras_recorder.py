"""Records a Keras network: every layer's outputs, gradients, statistics, as it is.

While a pass runs, `tf_keras.layers.Layer.__call__` is replaced and functions run eagerly, so that
nested, shared and subclassed layers are all seen. Each output is handed on through an operation
that changes nothing and sees the gradient on its way back: it goes to disk and is forgotten.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow.python.eager import record as tape_record

from official.parity.header import TapInfo
from official.parity.keras_names import buffer_names, layer_paths, parameter_names
from official.parity.keras_state import prepared
from official.parity.keys import TOTAL
from official.parity.recorder import Batch, Forcing, Pass, Recorder
from official.parity.structures import leaves, map_leaves
from official.parity.taps import Call

_Tensors = dict[str, tf.Tensor]


class KerasRecorder(Recorder):
  """Records a `tf_keras.Model` or layer whose variables exist."""

  framework = "tensorflow"

  def parameters(self) -> dict[str, np.ndarray]:
    return {name: v.numpy() for name, v in parameter_names(self.network).items()}

  def buffers(self) -> dict[str, np.ndarray]:
    return {name: v.numpy() for name, v in buffer_names(self.network).items()}

  def load(self, parameters: Batch, buffers: Batch) -> None:
    assign(parameter_names(self.network), parameters)
    assign(buffer_names(self.network), buffers)

  def _run(self, batch: Batch, current: Pass, forcing: Forcing | None) -> None:
    with prepared(self.network, self.seed):
      taps = Taps(self.network, current, forcing)
      trained = self.network.trainable_variables
      with tf.GradientTape(watch_accessed_variables=False) as tape:
        if current.training:
          tape.watch(trained)
        with taps if current.tapped else contextlib.nullcontext():
          losses = self._forward(batch, current, taps)
      if losses:
        gradients = tape.gradient(self._total(losses), trained)
        self._keep_gradients(dict(zip(map(id, trained), gradients, strict=True)), current)
      if current.training:
        for name, buffer in buffer_names(self.network).items():
          current.keep("buffer", name, buffer.numpy())
      current.close(taps.uncalled())

  def _forward(self, batch: Batch, current: Pass, taps: "Taps") -> Mapping[str, tf.Tensor]:
    tensors = {name: tf.constant(array) for name, array in batch.items()}
    outputs = self.side.forward(tensors, current.training)
    for name, leaf in leaves(outputs):
      if tf.is_tensor(leaf):
        current.result(name, leaf.numpy())
    if not current.training or not self.side.losses:
      return {}
    own, taps.own_outputs = taps.own_outputs, {}
    with tf.GradientTape(persistent=True) as tape:
      tape.watch(list(own.values()))
      losses = self.side.losses(outputs, tensors)
    for name, loss in losses.items():
      current.keep("loss", name, loss.numpy())
      if name != TOTAL and own:
        _keep_term(
          name, dict(zip(own, tape.gradient(loss, list(own.values())), strict=True)), current
        )
    return losses

  def _keep_gradients(self, gradients: dict[int, Any], current: Pass) -> None:
    for name, variable in parameter_names(self.network).items():
      if id(variable) not in gradients:
        current.absent("gradient", name, "frozen")
      elif (gradient := gradients.pop(id(variable))) is None:
        current.absent("gradient", name, "unused")
      else:
        current.keep("gradient", name, to_numpy(gradient))


class Taps:
  """Replaces `Layer.__call__`; a context manager.

  Attributes:
    own_outputs: floating outputs of calls from outside the network, by tap.
  """

  def __init__(
    self, network: tf_keras.layers.Layer, current: Pass, forcing: Forcing | None = None
  ) -> None:
    self.own_outputs: _Tensors = {}
    self._current = current
    self._log = current.log
    self._forcing = forcing
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
    given = [(leaf, 0) for _, leaf in leaves((args, kwargs)) if tf.is_tensor(leaf)]
    call = self._log.begin(self._paths[id(layer)], layer, given)
    try:
      outputs = self._original(layer, *args, **kwargs)
    finally:
      self._log.end()
    return map_leaves(lambda leaf, output: self._tap(call, leaf, output), outputs)

  def _tap(self, call: Call, leaf: str, output: Any) -> Any:
    """Records an output; returns what the caller is handed in its place."""
    if not isinstance(output, tf.Tensor | tf.Variable):
      return output
    output = tf.convert_to_tensor(output)
    array = output.numpy()
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
      self._current.arrive(tap.name, gradient.numpy())
      value = self._forcing.upstream(tap.name) if self._forcing else None
      if value is None or value.shape != tap.shape:
        return [gradient]
      return [tf.constant(value, gradient.dtype)]

    return record


def _keep_term(loss: str, gradients: dict[str, Any], current: Pass) -> None:
  for tap, gradient in gradients.items():
    if gradient is None:
      current.absent("term_gradient", f"{loss}|{tap}", "unused")
    else:
      current.keep("term_gradient", f"{loss}|{tap}", to_numpy(gradient))


def to_numpy(tensor: Any) -> np.ndarray:
  """Values of a tensor; those of sparse gradients with their zeros."""
  return tf.convert_to_tensor(tensor).numpy()


def assign(variables: Mapping[str, tf.Variable], arrays: Batch) -> None:
  """Sets variables; raises KeyError where names are not exactly the same."""
  if differing := sorted(set(variables) ^ set(arrays)):
    raise KeyError(f"names of only one side: {', '.join(differing[:5])}")
  for name, variable in variables.items():
    variable.assign(arrays[name])
