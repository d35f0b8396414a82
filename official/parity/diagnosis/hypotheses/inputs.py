"""What comes in, changed: channels, axes, order, scale."""

import itertools
from collections.abc import Iterator

import tensorflow as tf

from official.parity.diagnosis.program.graphs import after
from official.parity.diagnosis.program.program import Function, Ref, replace
from official.parity.diagnosis.subject import Subject, Trial

_STATISTICS = {
  "means and deviations of ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
  "means and deviations of ImageNet, 0 … 255": (
    (123.675, 116.28, 103.53),
    (58.395, 57.12, 57.375),
  ),
  "0.5 and 0.5": ((0.5,) * 3, (0.5,) * 3),
}


def channels(subject: Subject) -> Iterator[Trial]:
  """Channels of an input reversed, rotated, or halves exchanged."""
  for ref in _floats(subject):
    size = subject.program.shape(ref)[-1]
    reversed_ = "channels_reversed" if size in (3, 4) else "channels_permuted"
    sentence = "the original takes this input's channels in reverse (RGB against BGR)"
    yield _changed(subject, ref, reversed_, sentence, lambda x: tf.reverse(x, [-1]))
    if size % 2 == 0:
      half = size // 2
      sentence = "the original takes this input's halves in the other order"
      yield _changed(
        subject, ref, "channels_permuted", sentence, lambda x, n=half: tf.roll(x, n, -1)
      )


def axes(subject: Subject) -> Iterator[Trial]:
  """Axes of an input exchanged."""
  for ref in _floats(subject):
    shape = subject.program.shape(ref)
    for one, two in itertools.combinations(range(len(shape)), 2):
      if shape[one] == shape[two] > 1:
        order = list(range(len(shape)))
        order[one], order[two] = two, one
        sentence = f"the original takes this input with axes {one} and {two} exchanged"
        turn = lambda x, order=order: tf.transpose(x, order)  # noqa: E731
        yield _changed(subject, ref, "axes_swapped", sentence, turn)


def exchanged(subject: Subject) -> Iterator[Trial]:
  """Two inputs of one shape in each other's place."""
  program = subject.program
  for one, two in itertools.combinations(_floats(subject), 2):
    if program.shape(one) == program.shape(two):
      edits = {one.index: replace(program.value(two)), two.index: replace(program.value(one))}
      attention = bool(program.of_type("Softmax"))
      cause = "qkv_order" if attention else "concat_order"
      yield subject.trial(cause, "the original takes two inputs in the other order", edits)


def scale(subject: Subject) -> Iterator[Trial]:
  """An image brought to another range."""
  for ref in _floats(subject):
    if subject.program.shape(ref)[-1] != 3:
      continue
    for factor, word in ((1 / 255, "divides by 255"), (255.0, "multiplies by 255")):
      sentence = f"the original {word}, the candidate does not"
      yield _changed(subject, ref, "input_scaling", sentence, lambda x, f=factor: x * f)
    for what, (mean, deviation) in _STATISTICS.items():
      m, d = (tf.constant(v, subject.program.value(ref).dtype) for v in (mean, deviation))
      sentence = f"the original normalizes by {what}"
      yield _changed(subject, ref, "input_scaling", sentence, lambda x, m=m, d=d: (x - m) / d)
      sentence = f"the candidate normalizes by {what}, the original does not"
      yield _changed(subject, ref, "input_scaling", sentence, lambda x, m=m, d=d: x * d + m)


def _floats(subject: Subject) -> list[Ref]:
  program = subject.program
  refs = [Ref(index) for index in program.arguments if index in program.live]
  return [r for r in refs if program.value(r).dtype.is_floating and len(program.shape(r)) > 1]


def _changed(subject: Subject, ref: Ref, cause: str, sentence: str, function: Function) -> Trial:
  return subject.trial(cause, sentence, {ref.index: after(subject.program, ref, function)})
