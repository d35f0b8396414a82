"""What modules take and return: tensors in tuples, mappings and dataclasses, by leaf name."""

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def map_leaves(function: Callable[[str, Any], Any], value: Any, name: str = "") -> Any:
  """`value` with function(leaf name, leaf) in place of each leaf.

  Descends into mappings, lists, tuples (also named ones) and dataclass instances; anything else is
  a leaf. Leaf names are keys, indices and fields joined by "."; a leaf alone has an empty name.
  What does not change is handed back as the object that it is.
  """
  parts = dict(_parts(value))
  if not _is_structure(value):
    return function(name, value)
  mapped = {
    key: map_leaves(function, part, f"{name}.{key}" if name else str(key))
    for key, part in parts.items()
  }
  if all(mapped[key] is parts[key] for key in parts):
    return value
  return _with_parts(value, mapped)


def leaves(value: Any) -> list[tuple[str, Any]]:
  """(leaf name, leaf) of everything in `value`, in order; see `map_leaves`."""
  found: list[tuple[str, Any]] = []

  def collect(name: str, leaf: Any) -> Any:
    found.append((name, leaf))
    return leaf

  map_leaves(collect, value)
  return found


def _is_structure(value: Any) -> bool:
  if isinstance(value, type):
    return False
  return isinstance(value, Mapping | list | tuple) or dataclasses.is_dataclass(value)


def _parts(value: Any) -> Iterator[tuple[Any, Any]]:
  if isinstance(value, Mapping):  # Before dataclasses: transformers' outputs are both.
    yield from value.items()
  elif isinstance(value, list | tuple):
    yield from enumerate(value)
  elif _is_structure(value):
    yield from ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))


def _with_parts(value: Any, parts: dict[Any, Any]) -> Any:
  """A shallow copy of `value` that holds `parts`."""
  if isinstance(value, tuple):
    items = parts.values()
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
  changed = copy.copy(value)
  for key, part in parts.items():
    if isinstance(value, Mapping | list):
      changed[key] = part
    else:
      object.__setattr__(changed, key, part)
  return changed
