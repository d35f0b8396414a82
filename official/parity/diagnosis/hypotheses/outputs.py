"""What the outputs alone tell: the original's as a simple function of the candidate's."""

import itertools
from collections.abc import Callable, Iterator

import ml_dtypes
import numpy as np

from official.parity.diagnosis.hypotheses.solving import name
from official.parity.diagnosis.program.graphs import order_cause
from official.parity.diagnosis.subject import Subject, Trial

FEWEST = 8  # Values that a fitted number must explain before it counts.


def _each(
  subject: Subject, cause: str, sentence: str, function: Callable[[str, np.ndarray], np.ndarray]
) -> Trial:
  made = lambda: {leaf: function(leaf, array) for leaf, array in subject.outputs.items()}  # noqa: E731
  return Trial(cause, sentence, made)


def _pairs(subject: Subject) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """(ours, the original's) where shapes are equal and values float."""
  for leaf, ours in subject.outputs.items():
    theirs = subject.reference[leaf]
    if ours.shape == theirs.shape and ours.dtype.kind == "f" and np.isfinite(ours).all():
      yield ours, theirs


def factor(subject: Subject) -> Iterator[Trial]:
  """One factor on everything."""
  pairs = [(a, b) for a, b in _pairs(subject) if a.size >= FEWEST]
  top = sum(float(np.vdot(a, b)) for a, b in pairs)
  below = sum(float(np.vdot(a, a)) for a, _ in pairs)
  if below:
    ratio = top / below
    sentence = f"the original is {name(ratio)} times the candidate"
    yield _each(subject, "constant_factor", sentence, lambda _, a: a * ratio)


def offset(subject: Subject) -> Iterator[Trial]:
  """One number added to everything."""
  pairs = [(a, b) for a, b in _pairs(subject) if a.size >= FEWEST]
  if pairs:
    number = float(np.mean(np.concatenate([(b - a).ravel() for a, b in pairs])))
    sentence = f"the original is the candidate plus {name(number)}"
    yield _each(subject, "constant_offset", sentence, lambda _, a: a + number)


def channel_order(subject: Subject) -> Iterator[Trial]:
  """The same slices along one axis, in another order."""
  for leaf, ours in subject.outputs.items():
    theirs = subject.reference[leaf]
    if ours.shape != theirs.shape or ours.dtype.kind != "f" or ours.size < FEWEST:
      continue
    for axis in range(ours.ndim - 1, 0, -1):
      found = matching(ours, theirs, axis)
      if found is not None:
        cause, what = _order_cause(subject, found, axis == ours.ndim - 1)
        sentence = f"along axis {axis} the original is the candidate {what}"
        take = lambda _, a, order=found, axis=axis: np.take(a, order, axis)  # noqa: E731
        yield _each(subject, cause, sentence, take)


def matching(ours: np.ndarray, theirs: np.ndarray, axis: int) -> np.ndarray | None:
  """The order of `ours`' slices that gives `theirs`, by their products with a random vector."""
  size = ours.shape[axis]
  a = np.moveaxis(ours, axis, 0).reshape(size, -1)
  b = np.moveaxis(theirs, axis, 0).reshape(size, -1)
  probe = np.random.default_rng(0).normal(size=a.shape[1])
  order = np.empty(size, int)
  order[np.argsort(b @ probe, kind="stable")] = np.argsort(a @ probe, kind="stable")
  if np.array_equal(order, np.arange(size)):
    return None
  return order if np.allclose(a[order], b, rtol=1e-6, atol=1e-6 * np.abs(b).max()) else None


def _order_cause(subject: Subject, order: np.ndarray, last: bool) -> tuple[str, str]:
  size = len(order)
  if np.array_equal(order, np.arange(size)[::-1]):
    return ("channels_reversed" if last else "axes_swapped"), "reversed"
  shift = int(order[0])
  if not last and np.array_equal(order, np.roll(np.arange(size), -shift)):
    return "window_shift", f"shifted by {min(shift, shift - size, key=abs)}"
  end = next(iter(subject.program.outputs.values()))
  cause = order_cause(subject.program, end, "channels_permuted" if last else "axes_swapped")
  return cause, f"in the order {order[:8].tolist()} …"


def per_channel(subject: Subject) -> Iterator[Trial]:
  """Another scale, another offset, or both, of each channel."""
  pairs = list(_pairs(subject))
  if any(a.ndim < 2 or a[..., 0].size < FEWEST for a, _ in pairs) or not pairs:
    return
  few = all(a.shape[-1] <= 4 for a, _ in pairs)
  shift = {id(a): _mean(b - a) for a, b in pairs}
  yield _each(
    subject,
    "input_scaling" if few else "bias_missing",
    "each channel of the original is the candidate's plus a number",
    lambda _, a: a + shift.get(id(a), 0.0),
  )
  scale = {id(a): _mean(a * b) / np.where(_mean(a * a) == 0, 1, _mean(a * a)) for a, b in pairs}
  yield _each(
    subject,
    "input_scaling" if few else "constant_factor",
    "each channel of the original is the candidate's times a number",
    lambda _, a: a * scale.get(id(a), 1.0),
  )
  both = {id(a): _affine(a, b) for a, b in pairs}
  yield _each(
    subject,
    "input_scaling" if few else "normalization_missing",
    "each channel of the original is the candidate's times a number plus another",
    lambda _, a: a * both[id(a)][0] + both[id(a)][1] if id(a) in both else a,
  )


def _mean(array: np.ndarray) -> np.ndarray:
  return array.reshape(-1, array.shape[-1]).mean(0)


def _affine(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Least-squares scale and offset of each channel."""
  spread = _mean(a * a) - _mean(a) ** 2
  scale = (_mean(a * b) - _mean(a) * _mean(b)) / np.where(spread == 0, 1, spread)
  return scale, _mean(b) - scale * _mean(a)


def axes(subject: Subject) -> Iterator[Trial]:
  """The original's output is a transposition of the candidate's."""
  for ours, theirs in ((subject.outputs[k], subject.reference[k]) for k in subject.outputs):
    for order in itertools.permutations(range(ours.ndim)):
      if order != tuple(range(ours.ndim)) and ours.transpose(order).shape == theirs.shape:
        sentence = f"the original is the candidate with its axes in the order {order}"
        turn = lambda _, a, order=order: a.transpose(order) if a.ndim == len(order) else a  # noqa: E731
        yield _each(subject, "axes_swapped", sentence, turn)


def rounded(subject: Subject) -> Iterator[Trial]:
  """The candidate is the original, rounded to fewer bits."""
  if any(array.dtype != np.float64 for array in subject.outputs.values()):
    return
  for dtype in (np.float32, np.float16, ml_dtypes.bfloat16):
    lost = {
      leaf: theirs - theirs.astype(dtype).astype(theirs.dtype)
      for leaf, theirs in subject.reference.items()
    }
    sentence = f"the candidate is the original rounded to {np.dtype(dtype).name}"
    mended = lambda leaf, ours, lost=lost: ours + lost[leaf]  # noqa: E731
    yield _each(subject, "precision_lost", sentence, mended)
