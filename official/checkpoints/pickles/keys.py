"""Which values may be keys, and what values are called in messages."""

from typing import Any

from official.checkpoints.pickles.values import Global, Record
from official.checkpoints.problems import UNSUPPORTED, Unreadable, shown

_MAX_TUPLE = 16
_MAX_INT = 1 << 60


def key(value: Any) -> Any:
  """`value`, if it may be a key: of a kind whose hash is cheap and cannot be made to collide.

  Raises:
    Unreadable: it may not. (A hash of deeply nested tuples would overflow the C stack.)
  """
  plain = value is None or isinstance(value, str | bytes | float | Global)
  if plain or (isinstance(value, int) and abs(value) < _MAX_INT):
    return value
  flat = isinstance(value, tuple) and not any(isinstance(item, tuple) for item in value)
  if flat and len(value) <= _MAX_TUPLE:
    return tuple(map(key, value))
  raise Unreadable(f"its pickle has {kind_of(value)} as a key", UNSUPPORTED)


def kind_of(value: Any) -> str:
  """What `value` is, for a message."""
  if isinstance(value, Global):
    return shown(str(value))
  if isinstance(value, Record):
    return f"a {shown(str(value.kind))}"
  name = type(value).__name__
  return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
