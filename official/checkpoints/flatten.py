"""Nested values of a pickle → named arrays and metadata."""

from collections.abc import Iterable, Iterator
from typing import Any

from official.checkpoints.arrays import LazyArray
from official.checkpoints.pickles.values import Global, PendingArray, Record
from official.checkpoints.problems import UNSUPPORTED, UNTRUSTED, Unreadable, shown

ROOT = "array"  # The name of an array that was saved alone.
MAX_DEPTH = 100
MAX_VALUES = 1_000_000
_MAX_NAME = 1024
# What a torch module keeps its state in, in the order of `state_dict`.
_STATE = ("_parameters", "_buffers", "_modules")

_Children = Iterator[tuple[str, Any]]


def flatten(value: Any) -> tuple[dict[str, LazyArray], dict[str, Any]]:
  """Names everything in `value`.

  Keys of dictionaries, places in lists and attributes of records give names joined by "."; a
  pickled torch module gives the names that its `state_dict` would have, and its plain settings
  ("stride", "eps") as metadata.

  Args:
    value: of `pickles.machine.read_pickle`.

  Returns:
    Arrays by name, and all other leaves by name.

  Raises:
    Unreadable: two arrays would have one name, or there is no end to the nesting.
  """
  arrays: dict[str, LazyArray] = {}
  metadata: dict[str, Any] = {}
  for name, leaf in _leaves(value):
    if not isinstance(leaf, LazyArray):
      metadata[name] = leaf
    elif arrays.setdefault(name, leaf) is not leaf:
      raise Unreadable(f"it has two arrays named {shown(name)}", UNSUPPORTED)
  return arrays, metadata


def _leaves(root: Any) -> Iterator[tuple[str, Any]]:
  """Depth first, in order. What is met twice is named twice, so that the number is bounded here."""
  stack: list[_Children] = [iter([("", root)])]
  for _ in range(MAX_VALUES):
    if not stack:
      return
    name, value = next(stack[-1], (None, None))
    if name is None:
      stack.pop()
      continue
    if len(name) > _MAX_NAME:
      raise Unreadable(f"it has names of over {_MAX_NAME} characters: {shown(name)}", UNTRUSTED)
    if len(stack) > MAX_DEPTH:
      raise Unreadable(f"it is nested more than {MAX_DEPTH} deep, or in itself", UNTRUSTED)
    children = _children(value)
    if children is None:
      yield name or ROOT, _leaf(value)
    else:
      stack.append(_below(name, children))
  raise Unreadable(f"it has more than {MAX_VALUES:,} values", UNTRUSTED)


def _below(name: str, children: Iterable[tuple[Any, Any]]) -> _Children:
  return ((f"{name}.{key}" if name else str(key), value) for key, value in children)


def _children(value: Any) -> Iterable[tuple[Any, Any]] | None:
  """The values in `value` under their own names; None where it is a leaf."""
  match value:
    case Record() if all(isinstance(value.attributes.get(part), dict) for part in _STATE):
      return _module(value.attributes)
    case Record():
      return [*enumerate(value.items), *value.attributes.items()]
    case dict():
      return value.items()
    case list() | tuple() if not _is_plain(value):
      return enumerate(value)
  return None


def _module(attributes: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
  """The state of a torch module, and its settings."""
  unsaved = attributes.get("_non_persistent_buffers_set")
  unsaved = unsaved if isinstance(unsaved, set) else set()
  for part in _STATE:
    for key, value in attributes[part].items():
      if value is not None and not (part == "_buffers" and key in unsaved):
        yield key, value
  for key, value in attributes.items():
    if not str(key).startswith("_"):
      yield key, value if _is_plain(value) else _outline(value)


def _outline(value: Any) -> str:
  """A module's attribute that `state_dict` leaves out and that is no plain setting."""
  if isinstance(value, LazyArray):
    return f"({value.dtype} {value.shape}, not of the module's state)"
  return f"({value.kind if isinstance(value, Record) else type(value).__name__})"


def _is_plain(value: Any) -> bool:
  if isinstance(value, list | tuple):
    return all(item is None or isinstance(item, bool | int | float | str) for item in value)
  return value is None or isinstance(value, bool | int | float | complex | str)


def _leaf(value: Any) -> Any:
  match value:
    case PendingArray(array=None):
      raise Unreadable("it has a numpy array without content")
    case PendingArray():
      return value.array
    case Global():
      return f"({value})"
    case memoryview():
      return f"({len(value)} bytes)"
  return value
