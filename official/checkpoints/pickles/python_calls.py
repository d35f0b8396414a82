"""Python's own containers and values, as pickles make them."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from official.checkpoints.pickles.keys import key
from official.checkpoints.pickles.values import Global, OrderedMap, Record
from official.checkpoints.problems import UNTRUSTED, Unreadable

# What an empty value of a defaultdict may be made by.
_FACTORIES = frozenset(["dict", "list", "set", "tuple", "int", "float", "str", "bool"])


def _encode(arguments: tuple[Any, ...]) -> bytes:
  """A byte string, as protocol 2 writes it."""
  match arguments:
    case (str(text), "latin1" | "latin-1"):
      with contextlib.suppress(UnicodeEncodeError):
        return text.encode("latin-1")
  raise _odd("_codecs.encode")


def _bytes(arguments: tuple[Any, ...]) -> bytes:
  """From a byte string only: from a number Python would make as many zeros."""
  match arguments:
    case ():
      return b""
    case (bytes() | memoryview() as data,):
      return bytes(data)
    case (str(), "latin1" | "latin-1"):
      return _encode(arguments)
  raise _odd("bytes")


def _complex(arguments: tuple[Any, ...]) -> complex:
  match arguments:
    case (int() | float() as real, int() | float() as imaginary):
      return complex(real, imaginary)
  raise _odd("complex")


def _set(arguments: tuple[Any, ...]) -> set[Any]:
  match arguments:
    case ():
      return set()
    case (list() | tuple() as items,):
      return set(map(key, items))
  raise _odd("set")


def _list(arguments: tuple[Any, ...]) -> list[Any]:
  """A deque, whose greatest length does not matter here."""
  match arguments:
    case () | ((),) | ((), int()):
      return []
    case (list() as items, *_):
      return items
  raise _odd("collections.deque")


def _ordered(arguments: tuple[Any, ...]) -> OrderedMap:
  result = OrderedMap()
  match arguments:
    case ():
      pass
    case (dict() as entries,):
      result.update(entries)
    case (list() as pairs,) if all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
      result.update((key(name), value) for name, value in pairs)
    case _:
      raise _odd("a dictionary of collections")
  return result


def _default(arguments: tuple[Any, ...]) -> OrderedMap:
  match arguments:
    case () | (None,):
      return OrderedMap()
    case (Global(module="builtins") as factory,) if factory.name in _FACTORIES:
      return OrderedMap()
  raise _odd("collections.defaultdict")


def _path(arguments: tuple[Any, ...]) -> str:
  if all(isinstance(part, str) for part in arguments):
    return "/".join(arguments).replace("//", "/")
  raise _odd("pathlib")


def _namespace(arguments: tuple[Any, ...]) -> Record:
  if not arguments:
    return Record(Global("types", "SimpleNamespace", listed=True))
  raise _odd("types.SimpleNamespace")


def _odd(function: str) -> Unreadable:
  return Unreadable(f"its pickle calls {function} with odd arguments", UNTRUSTED)


_PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path")

CALLS: Mapping[str, Callable[[tuple[Any, ...]], Any]] = {
  "_codecs.encode": _encode,
  "builtins.bytearray": _bytes,
  "builtins.bytes": _bytes,
  "builtins.complex": _complex,
  "builtins.frozenset": _set,
  "builtins.set": _set,
  "collections.Counter": _ordered,
  "collections.OrderedDict": _ordered,
  "collections.defaultdict": _default,
  "collections.deque": _list,
  "types.SimpleNamespace": _namespace,
  **{f"pathlib.{name}": _path for name in _PATHS},
  **{f"pathlib._local.{name}": _path for name in _PATHS},
}
GLOBALS = frozenset(f"builtins.{name}" for name in _FACTORIES)
