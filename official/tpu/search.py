"""The largest batch that fits, by bisection."""

from collections.abc import Callable

from official.tpu.check import Check

_LARGEST = 4096  # Images of one replica; nobody asks for more.


def largest_batch(check: Callable[[int], Check], start: int) -> list[Check]:
  """Checks batches of a replica until the largest that fits is known.

  The batch is doubled (or halved) from `start` until one fits and one does not, and then what is
  between the two is halved, down to an eighth of the batch: each trial is a compilation.

  Args:
    check: of a batch.
    start: the first batch.

  Returns:
    every check, in the order of their batches.
  """
  tried: dict[int, Check] = {}

  def fits(batch: int) -> bool:
    if batch not in tried:
      tried[batch] = check(batch)
    return tried[batch].fits

  low, high = _bracket(fits, start)
  while high - low > max(low // 8, 1):
    middle = (low + high) // 2
    low, high = (middle, high) if fits(middle) else (low, middle)
  return [tried[batch] for batch in sorted(tried)]


def _bracket(fits: Callable[[int], bool], start: int) -> tuple[int, int]:
  """A batch that fits (0 where none does), and a larger one that does not."""
  batch = start
  if fits(batch):
    while batch < _LARGEST and fits(2 * batch):
      batch *= 2
    return batch, 2 * batch
  while batch > 1 and not fits(batch // 2):
    batch //= 2
  return batch // 2, batch
