"""Pooling: maximum or average, what counts as a margin, and on which sides it lies."""

from collections.abc import Iterator

import tensorflow as tf

from official.parity.diagnosis.hypotheses.convolution import Pads, _other_pads, current_pads
from official.parity.diagnosis.program.execution import attributes, run
from official.parity.diagnosis.program.program import Edit, Node
from official.parity.diagnosis.subject import Subject, Trial

_REDUCTIONS = ("Max", "Mean", "Sum", "Min")


def pooling(subject: Subject) -> Iterator[Trial]:
  """Another kind, another margin, other sides of each pooling."""
  program = subject.program
  for node in program.of_type("MaxPool", "AvgPool"):
    now = current_pads(program, node)
    kind = "maximum" if node.type == "MaxPool" else "average"
    for pads in [now, *_other_pads(program, node, now)]:
      for other, edit in _kinds(node, pads).items():
        if other == kind and pads == now:
          continue
        cause = "padding" if other == kind else _cause(kind, other)
        sentence = f"the candidate takes the {kind}, the original the {other} ({pads} of margin)"
        yield subject.trial(cause, sentence, {node.index: edit})


def _cause(kind: str, other: str) -> str:
  return "pool_padding" if other == "maximum with zeros" and kind == "maximum" else "pool_kind"


def _kinds(node: Node, pads: Pads) -> dict[str, Edit]:
  attrs = attributes(node.op) | {"padding": b"VALID"}
  maximum = attrs | {"explicit_paddings": []}
  average = {key: attrs[key] for key in ("ksize", "strides", "padding", "data_format", "T")}
  margin = [(0, 0), *pads, (0, 0)]

  def pool(kind: str, x: tf.Tensor) -> tf.Tensor:
    chosen = maximum if kind == "MaxPool" else average
    return run(kind, [x], chosen)[0]

  def excluding(x: tf.Tensor) -> tf.Tensor:
    count = pool("AvgPool", tf.pad(tf.ones_like(x), margin))
    return pool("AvgPool", tf.pad(x, margin)) / count

  lowest = node.op.outputs[0].dtype.min
  made = {
    "maximum": lambda x: pool("MaxPool", tf.pad(x, margin, constant_values=lowest)),
    "average": excluding,
    "maximum with zeros": lambda x: pool("MaxPool", tf.pad(x, margin)),
    "average with zeros": lambda x: pool("AvgPool", tf.pad(x, margin)),
  }
  return {name: (lambda i, look, f=f: [f(i[0])]) for name, f in made.items()}


def reductions(subject: Subject) -> Iterator[Trial]:
  """A global pooling of another kind."""
  for node in subject.program.of_type(*_REDUCTIONS):
    source = subject.program.shape(node.inputs[0])
    axes = sorted(int(a) % len(source) for a in subject.program.array(node.inputs[1]).ravel())
    if len(source) < 3 or axes not in ([1], [1, 2]):
      continue
    for other in set(_REDUCTIONS) - {node.type}:
      attrs = attributes(node.op)
      edit = lambda inputs, look, other=other, attrs=attrs: run(other, inputs, attrs)  # noqa: E731
      sentence = f"the candidate pools by {node.type.lower()}, the original by {other.lower()}"
      yield subject.trial("pool_kind", sentence, {node.index: edit})
