"""Filling what a pickle has made: dictionaries, records, numpy's arrays and types."""

from collections.abc import Iterable
from typing import Any

from official.checkpoints.pickles import numpy_calls
from official.checkpoints.pickles.keys import key, kind_of
from official.checkpoints.pickles.values import ArrayType, OrderedMap, PendingArray, Record
from official.checkpoints.problems import UNSUPPORTED, UNTRUSTED, Unreadable, shown


def set_items(target: Any, items: Iterable[tuple[Any, Any]]) -> None:
  """Puts `items` into `target`: a dictionary, or a record of a class derived from one.

  Raises:
    Unreadable: it is neither, or a key is not of a plain kind.
  """
  if isinstance(target, Record):
    _set_attributes(target, {key(name): value for name, value in items})
  elif isinstance(target, dict):
    target.update((key(name), value) for name, value in items)
  else:
    raise Unreadable(f"its pickle sets items of {kind_of(target)}", UNTRUSTED)


def build(target: Any, state: Any) -> None:
  """What BUILD does: gives `target` its state; never by a method or an attribute of a real object.

  Raises:
    Unreadable: `target` is nothing that has a state, or the state is odd.
  """
  match target:
    case Record():
      _build_record(target, state)
    case PendingArray():
      numpy_calls.fill_array(target, state)
    case ArrayType():
      numpy_calls.fill_type(target, state)
    case OrderedMap() if isinstance(state, dict):
      pass  # `_metadata`: the versions of the modules' layouts, no weights.
    case _:
      raise Unreadable(f"its pickle changes the state of {kind_of(target)}", UNTRUSTED)


def _build_record(target: Record, state: Any) -> None:
  match state:
    case None:
      pass
    case dict():
      _set_attributes(target, state)
    case (None | dict() as plain, None | dict() as slots):
      _set_attributes(target, {**(plain or {}), **(slots or {})})
    case _:
      raise Unreadable(f"the state of {shown(str(target.kind))} is {kind_of(state)}", UNSUPPORTED)


def _set_attributes(target: Record, attributes: dict[Any, Any]) -> None:
  for name in attributes:
    if isinstance(name, str) and name.startswith("__"):
      raise Unreadable(f"its pickle sets {shown(name)} of {shown(str(target.kind))}", UNTRUSTED)
  target.attributes.update(attributes)
