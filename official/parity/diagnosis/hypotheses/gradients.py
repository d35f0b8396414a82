"""Gradients that differ where outputs agree: stopped, let through, scaled, clipped, frozen."""

import collections
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from official.parity.diagnosis.evidence import LayerEvidence
from official.parity.diagnosis.hypotheses.solving import name
from official.parity.diagnosis.program.execution import Tensors, execute
from official.parity.diagnosis.program.graphs import Edge, after, is_data
from official.parity.diagnosis.program.program import Edit, Edits, Look, Ref
from official.parity.diagnosis.program.tracing import call
from official.parity.diagnosis.subject import Subject, Trial, error_of
from official.parity.recorders.structures import leaves

_STOPS = ("StopGradient", "PreventGradient")


class BackwardSubject(Subject):
  """A layer whose gradients are judged: "input 0" …, and variables by name.

  The program is differentiated as its operations are: without gradients that the layer defines
  itself, and for variables that are not trained too.
  """

  def __init__(self, evidence: LayerEvidence) -> None:
    super().__init__(evidence)
    self.reference = {f"input {n}": np.asarray(a) for n, a in evidence.input_gradients.items()}
    everything = list(getattr(evidence.layer, "variables", ()))
    names = collections.Counter(variable.name for variable in everything)
    known = evidence.parameter_gradients
    self.variables = {v.name: v for v in everything if v.name in known and names[v.name] == 1}
    self.reference |= {name_: np.asarray(known[name_]) for name_ in self.variables}
    # A frozen layer leaves its variables as they are and does not list them.
    trained = {id(v) for v in getattr(evidence.layer, "trainable_variables", ())}
    self.frozen = {key for key, v in self.variables.items() if id(v) not in trained}

  def error(self, outputs: Mapping[str, Any]) -> float:
    """The largest error; variables' gradients share a scale."""
    group = lambda name_: "input" if name_.startswith("input ") else "parameter"  # noqa: E731
    return error_of(self.arrays(outputs), self.reference, group)

  @property
  def outputs(self) -> dict[str, np.ndarray]:
    """The layer's own gradients, as training would see them."""
    if not hasattr(self, "_own"):
      self._own = self._eager()
    return self._own

  def run(self, edits: Edits) -> Mapping[str, Any]:
    """Gradients of the program under `edits`."""
    program = self.program
    leaf_nodes = [*program.arguments, *program.variables]
    with tf.GradientTape(persistent=False, watch_accessed_variables=False) as tape:
      values = {i: tf.identity(program.value(Ref(i))) for i in leaf_nodes}
      values = {i: value for i, value in values.items() if value.dtype.is_floating}
      tape.watch(list(values.values()))
      watched = {i: (lambda inputs, look, value=value: [value]) for i, value in values.items()}
      outputs = program.run(watched | dict(edits))
    upstream = {n: tf.constant(a) for n, a in (self.evidence.upstream or {}).items()}
    if len(upstream) == len(outputs) == 1:
      upstream = dict(zip(outputs, upstream.values(), strict=True))
    shared = [leaf for leaf in outputs if leaf in upstream]
    found = tape.gradient(
      [outputs[leaf] for leaf in shared],
      values,
      [upstream[leaf] for leaf in shared],
      unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return self._named({i: tf.convert_to_tensor(g) for i, g in found.items()})

  def _named(self, by_node: Mapping[int, tf.Tensor]) -> dict[str, tf.Tensor]:
    named = {f"input {n}": by_node[i] for n, i in enumerate(self.program.arguments) if i in by_node}
    nodes = {id(variable): i for i, variable in self.program.sources.items()}
    for key, variable in self.variables.items():
      found = by_node.get(nodes.get(id(variable)))
      named[key] = tf.zeros(variable.shape, variable.dtype) if found is None else found
    return named

  def _eager(self) -> dict[str, np.ndarray]:
    """Calls the layer itself, and puts back what the call changed."""
    evidence = self.evidence
    variables = list(getattr(evidence.layer, "variables", ()))
    kept = [variable.numpy() for variable in variables]
    flat = [t for t in tf.nest.flatten((evidence.args, dict(evidence.kwargs))) if tf.is_tensor(t)]
    floats = {f"input {n}": t for n, t in enumerate(flat) if t.dtype.is_floating}
    with tf.GradientTape() as tape:
      tape.watch(list(floats.values()))
      outputs = dict(
        leaves(call(evidence.layer, evidence.args, evidence.kwargs, evidence.training))
      )
    upstream = evidence.upstream or {}
    if len(upstream) == len(outputs) == 1:
      upstream = dict(zip(outputs, upstream.values(), strict=True))
    shared = [leaf for leaf in outputs if leaf in upstream]
    trained = {k: v for k, v in self.variables.items() if k not in self.frozen}
    found = tape.gradient(
      [outputs[leaf] for leaf in shared],
      floats | trained,
      [tf.constant(upstream[leaf]) for leaf in shared],
      unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    for variable, value in zip(variables, kept, strict=True):
      variable.assign(value)
    frozen = {key: np.zeros(self.variables[key].shape) for key in self.frozen}
    return self.arrays({k: tf.convert_to_tensor(g) for k, g in found.items()} | frozen)


def frozen(subject: BackwardSubject) -> Iterator[Trial]:
  """Variables that one side does not train."""
  own, theirs = subject.outputs, subject.reference
  idle = [key for key in own if not own[key].any() and theirs[key].any()]
  if subject.frozen.intersection(idle):
    sentence = f"the candidate does not train {', '.join(idle)}; the original does"
    yield Trial("parameter_frozen", sentence, lambda: subject.run({}))
  extra = [key for key in own if own[key].any() and not theirs[key].any()]
  if extra and all(key in subject.variables for key in extra):
    mended = own | {key: np.zeros_like(own[key]) for key in extra}
    sentence = f"the original does not train {', '.join(extra)}; the candidate does"
    yield Trial("parameter_frozen", sentence, lambda: mended)


def let_through(subject: BackwardSubject) -> Iterator[Trial]:
  """Each place where the candidate stops gradients, opened; then all of them."""
  nodes = subject.program.of_type(*_STOPS)
  for group in [[node] for node in nodes] + [nodes] * (len(nodes) > 1):
    edits: Edits = {node.index: lambda inputs, look: [inputs[0]] for node in group}
    sentence = "the candidate stops a gradient here, the original lets it through"
    yield subject.trial("target_detached", sentence, edits)


def own_gradient(subject: BackwardSubject) -> Iterator[Trial]:
  """The true derivative instead of what the layer declares."""
  sentence = "the candidate's own gradient is not the derivative of what it computes"
  yield Trial("target_detached", sentence, lambda: subject.run({}))


def factor(subject: BackwardSubject) -> Iterator[Trial]:
  """One factor on every gradient, or on those that differ."""
  own, theirs = subject.outputs, subject.reference
  wrong = [k for k in own if error_of({k: own[k]}, {k: theirs[k]}) > subject.evidence.limit]
  pairs = [
    (own[k], theirs[k]) for k in wrong if own[k].shape == theirs[k].shape and own[k].size > 1
  ]
  below = sum(float(np.vdot(a, a)) for a, _ in pairs)
  if below:
    ratio = sum(float(np.vdot(a, b)) for a, b in pairs) / below
    mended = {k: a * ratio if k in wrong else a for k, a in own.items()}
    sentence = f"the original's gradients are {name(ratio)} times the candidate's"
    yield Trial("gradient_scale", sentence, lambda: mended)


def clipped(subject: BackwardSubject) -> Iterator[Trial]:
  """Values of gradients cut off at a bound, on one side only."""
  own, theirs = subject.outputs, subject.reference
  bound = max((float(np.abs(a).max()) for a in theirs.values() if a.size), default=0.0)
  mended = {k: np.clip(a, -bound, bound) for k, a in own.items()}
  sentence = f"the original clips gradients at {name(bound)}, the candidate does not"
  yield Trial("clip_scope", sentence, lambda: mended)


def stopped(subject: BackwardSubject) -> Iterator[Trial]:
  """A gradient stopped at each value, and at each of its uses where it has several."""
  program = subject.program
  sentence = "the original stops the gradient here, the candidate lets it through"
  for node in program.nodes:
    ref = Ref(node.index)
    if node.index not in program.live or not node.op.outputs or not is_data(program, ref):
      continue
    yield subject.trial(
      "target_detached", sentence, {node.index: after(program, ref, tf.stop_gradient)}
    )
    uses = program.consumers.get(ref, ())
    for index, slot in uses if len(uses) > 1 else ():
      edge = Edge(program.nodes[index], slot)
      yield subject.trial("target_detached", sentence, {index: _stopping(edge)})


def _stopping(edge: Edge) -> Edit:
  node, slot = edge

  def edit(inputs: Tensors, look: Look) -> Tensors:
    stopped_ = tf.stop_gradient(inputs[slot])
    return execute(node.op, [*inputs[:slot], stopped_, *inputs[slot + 1 :]])

  return edit
