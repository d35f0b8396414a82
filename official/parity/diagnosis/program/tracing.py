"""Traces a layer's call into a `Program`."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import tensorflow as tf
import tf_keras
from tensorflow.python.autograph.core import ag_ctx
from tensorflow.python.framework.func_graph import FuncGraph

from official.parity.diagnosis.program.program import Call, Node, Program, Ref
from official.parity.recorders.structures import leaves


def trace(
  function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], training: bool
) -> Program:
  """Traces `function(*args, **kwargs)`; functions that it calls are traced in line.

  Raises:
    Exception: whatever the call raises when it is traced; Python that needs tensors' values cannot
      be.
  """
  try:
    return _trace(function, args, kwargs, training, ag_ctx.Status.DISABLED)
  except Exception:  # Branches on tensors need AutoGraph, which costs seconds and clear lines.
    return _trace(function, args, kwargs, training, ag_ctx.Status.ENABLED)


def _trace(
  function: Callable[..., Any],
  args: tuple[Any, ...],
  kwargs: Mapping[str, Any],
  training: bool,
  autograph: ag_ctx.Status,
) -> Program:
  flat = tf.nest.flatten((args, dict(kwargs)))
  graph, recorded = FuncGraph("diagnosis"), []
  with graph.as_default(), ag_ctx.ControlStatusCtx(autograph), _in_line(), _calls(recorded):
    symbols = [_symbol(value) for value in flat]
    call_args, call_kwargs = tf.nest.pack_sequence_as((args, dict(kwargs)), symbols)
    structure = call(function, call_args, call_kwargs, training)
    outputs = {name: tf.identity(x) for name, x in leaves(structure) if tf.is_tensor(x)}
  arguments = [
    (symbol, value) for symbol, value in zip(symbols, flat, strict=True) if tf.is_tensor(value)
  ]
  owners = [function, *(layer for layer, _, _ in recorded)]
  known = [v for owner in owners for v in getattr(owner, "variables", ())]
  return _program(graph, arguments, outputs, recorded, known)


def call(function: Callable[..., Any], args: Any, kwargs: Mapping[str, Any], training: bool) -> Any:
  """`function(*args, **kwargs)` in a mode that the layers inside take from their caller."""
  return _Mode(function)(args, dict(kwargs), training=training)


def _symbol(value: Any) -> Any:
  if not tf.is_tensor(value):
    return value
  return tf.compat.v1.placeholder(value.dtype, value.shape)


class _Mode(tf_keras.layers.Layer):
  """Calls a function in a mode that the layers inside take from their caller."""

  def __init__(self, function: Callable[..., Any]) -> None:
    super().__init__(autocast=False)
    self._function = function

  def call(self, args: Any, kwargs: Any, training: bool) -> Any:
    function = self._function
    if getattr(function, "_expects_training_arg", False):
      kwargs = {"training": training, **kwargs}
    return function(*args, **kwargs)


@contextlib.contextmanager
def _in_line() -> Iterator[None]:
  before = tf.config.functions_run_eagerly()
  tf.config.run_functions_eagerly(True)
  try:
    yield
  finally:
    tf.config.run_functions_eagerly(before)


@contextlib.contextmanager
def _calls(recorded: list[tuple[Any, list[Any], list[Any]]]) -> Iterator[None]:
  """Notes which layers are called, with their input and output tensors."""
  original = tf_keras.layers.Layer.__call__

  def noted(layer: Any, *args: Any, **kwargs: Any) -> Any:
    outputs = original(layer, *args, **kwargs)
    if not isinstance(layer, _Mode):
      recorded.append((layer, tf.nest.flatten((args, kwargs)), tf.nest.flatten(outputs)))
    return outputs

  tf_keras.layers.Layer.__call__ = noted
  try:
    yield
  finally:
    tf_keras.layers.Layer.__call__ = original


def _program(
  graph: FuncGraph,
  arguments: list[tuple[tf.Tensor, tf.Tensor]],
  outputs: Mapping[str, tf.Tensor],
  recorded: list[tuple[Any, list[Any], list[Any]]],
  known: Iterable[tf.Variable],
) -> Program:
  place = {op.name: index for index, op in enumerate(graph.get_operations())}
  handles = {id(variable.handle): variable for variable in known}

  def refs(values: Iterable[Any]) -> tuple[Ref, ...]:
    symbols = [v for v in values if tf.is_tensor(v) and getattr(v, "graph", None) is graph]
    return tuple(Ref(place[symbol.op.name], symbol.value_index) for symbol in symbols)

  given = {place[symbol.op.name]: value for symbol, value in arguments}
  variables, sources = {}, {}
  for outer, inner in graph.captures:
    index = place[inner.op.name]
    if outer.dtype == tf.resource:
      sources[index] = handles.get(id(outer))
      variables[index] = sources[index].name if sources[index] is not None else inner.op.name
    given[index] = _read(outer, inner, sources.get(index))
  sources = {index: variable for index, variable in sources.items() if variable is not None}
  return Program(
    nodes=[Node(i, op, refs(op.inputs)) for i, op in enumerate(graph.get_operations())],
    given=given,
    arguments=[place[symbol.op.name] for symbol, _ in arguments],
    variables=variables,
    sources=sources,
    outputs={name: refs([tensor])[0] for name, tensor in outputs.items()},
    calls=[Call(layer, refs(inputs), refs(made)) for layer, inputs, made in recorded],
  )


def _read(outer: tf.Tensor, inner: tf.Tensor, variable: tf.Variable | None) -> tf.Tensor:
  """The value of a captured tensor, or of the variable behind a captured handle."""
  if variable is not None:
    return variable.value()
  reads = [op for op in inner.consumers() if op.type == "ReadVariableOp"]
  if outer.dtype != tf.resource or not reads:
    return outer
  return tf.raw_ops.ReadVariableOp(resource=outer, dtype=reads[0].get_attr("dtype"))
