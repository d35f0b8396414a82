"""A plain pickle of numpy arrays, such as detectron2's model zoo: {"model": {name: array}, …}.

Of torch's tensors too, each of which then carries its storage as `torch.save` wrote it.
"""

from typing import Any

from official.checkpoints.pickles.machine import read_pickle
from official.checkpoints.problems import UNTRUSTED, Unreadable


def read_plain_pickle(data: memoryview) -> Any:
  """The pickled value of the file `data`, its numpy arrays as `LazyArray`s or `PendingArray`s.

  Raises:
    Unreadable: it is damaged or not allowed.
  """
  value, end = read_pickle(data)
  if end != len(data):
    raise Unreadable("there is more after its pickle", UNTRUSTED)
  return value
