"""Records a Keras network: every layer's outputs, gradients, statistics, as it is."""

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from official.parity.keys import TOTAL
from official.parity.recorders.keras_capture import LayerCall, capture
from official.parity.recorders.keras_names import buffer_names, parameter_names
from official.parity.recorders.keras_state import prepared
from official.parity.recorders.keras_taps import Taps, to_numpy
from official.parity.recorders.recorder import Batch, Forcing, Pass, Recorder
from official.parity.recorders.structures import leaves


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

  def tensors(self, batch: Batch) -> dict[str, tf.Tensor]:
    return {name: tf.constant(array) for name, array in batch.items()}

  def capture(
    self, batch: Batch, phase: str, call: str, forcing: Forcing | None = None
  ) -> LayerCall:
    """One call of a layer, by its name, with the inputs that it has in a pass; see `capture`."""
    return capture(self.side, batch, phase, call, forcing, self.seed)

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

  def _forward(self, batch: Batch, current: Pass, taps: Taps) -> Mapping[str, tf.Tensor]:
    tensors = self.tensors(batch)
    outputs = self.side.forward(tensors, current.training)
    for name, leaf in leaves(outputs):
      if isinstance(leaf, tf.Tensor | tf.Variable):
        current.result(name, to_numpy(leaf))
    if not current.training or not self.side.losses:
      return {}
    own, taps.own_outputs = taps.own_outputs, {}
    with tf.GradientTape(persistent=True) as tape:
      tape.watch(list(own.values()))
      losses = self.side.losses(outputs, tensors)
    for name, loss in losses.items():
      current.keep("loss", name, to_numpy(loss))
      if name != TOTAL and own:
        gradients = tape.gradient(loss, list(own.values()))
        _keep_term(name, dict(zip(own, gradients, strict=True)), current)
    return losses

  def _keep_gradients(self, gradients: dict[int, Any], current: Pass) -> None:
    for name, variable in parameter_names(self.network).items():
      if id(variable) not in gradients:
        current.absent("gradient", name, "frozen")
      elif (gradient := gradients.pop(id(variable))) is None:
        current.absent("gradient", name, "unused")
      else:
        current.keep("gradient", name, to_numpy(gradient))


def _keep_term(loss: str, gradients: dict[str, Any], current: Pass) -> None:
  for tap, gradient in gradients.items():
    if gradient is None:
      current.absent("term_gradient", f"{loss}|{tap}", "unused")
    else:
      current.keep("term_gradient", f"{loss}|{tap}", to_numpy(gradient))


def assign(variables: Mapping[str, tf.Variable], arrays: Batch) -> None:
  """Sets variables; raises KeyError or ValueError where names or shapes are not theirs."""
  if differing := sorted(set(variables) ^ set(arrays)):
    raise KeyError(f"names of only one side: {', '.join(differing[:5])}")
  for name, variable in variables.items():
    variable.assign(arrays[name])
