"""The pickle machine: reads opcodes, builds inert values, runs nothing.

The opcodes are those of protocols 2 to 5 (Python's `pickletools` describes them), as torch, numpy
and detectron2 write them. Those of the text protocol, and those that call classes in other ways
(INST, OBJ, EXT), are refused. Work and memory are bounded by the file's size and `MAX_OPCODES`.
"""

import pickletools
import struct
from collections.abc import Callable
from typing import Any

from official.checkpoints.pickles import building, policy
from official.checkpoints.pickles.keys import key, kind_of
from official.checkpoints.problems import UNSUPPORTED, UNTRUSTED, Unreadable

MAX_OPCODES = 4_000_000  # A thousand tensors take 40,000.
_MAX_INT_BYTES = 256
_SMALL = 1024  # Longer byte strings stay in the file.
_MAX_NAME = 256

Persistent = Callable[[Any], Any]


def read_pickle(
  data: memoryview, start: int = 0, persistent: Persistent | None = None
) -> tuple[Any, int]:
  """Reads the pickle that begins at byte `start` of `data`.

  Args:
    data: the file.
    start: where the pickle begins.
    persistent: what stands for an object outside the pickle (torch's storages), by its id.

  Returns:
    Its value, made of numbers, strings, containers and `values`; and the first byte after it.

  Raises:
    Unreadable: it is damaged, too large, or wants something that is not on the lists.
  """
  machine = _Machine(data, start, persistent)
  return machine.run(), machine.position


class _Machine:
  """The state: a position in the file, a stack, the stacks below open marks, and the memo."""

  def __init__(self, data: memoryview, start: int, persistent: Persistent | None) -> None:
    self.data = data
    self.position = start
    self.persistent = persistent
    self.stack: list[Any] = []
    self.below: list[list[Any]] = []
    self.memo: dict[int, Any] = {}

  def run(self) -> Any:
    for _ in range(MAX_OPCODES):
      code = self.take(1)[0]
      if code == ord("."):
        return self._result()
      handler = _HANDLERS.get(code)
      if handler is None:
        raise self._refused(code)
      handler(self)
    raise Unreadable(f"its pickle has more than {MAX_OPCODES:,} opcodes", UNSUPPORTED)

  def _result(self) -> Any:
    if self.below or len(self.stack) != 1:
      raise self.broken("does not end with one value")
    return self.stack[0]

  def _refused(self, code: int) -> Unreadable:
    opcode = pickletools.code2op.get(chr(code))
    if opcode is None:
      return self.broken(f"has the unknown opcode {code}")
    reason = f"its pickle uses {opcode.name} at byte {self.position - 1}, which is not read"
    return Unreadable(reason, UNTRUSTED)

  def broken(self, what: str) -> Unreadable:
    return Unreadable(f"its pickle {what} (byte {self.position})")

  def take(self, count: int) -> memoryview:
    """The next `count` bytes."""
    end = self.position + count
    if end > len(self.data):
      raise self.broken("is cut short")
    taken = self.data[self.position : end]
    self.position = end
    return taken

  def number(self, form: str) -> Any:
    """The next number, as `struct` describes it."""
    return struct.unpack(form, self.take(struct.calcsize(form)))[0]

  def line(self) -> str:
    """The text up to the next newline."""
    window = bytes(self.data[self.position : self.position + _MAX_NAME + 1])
    length = window.find(b"\n")
    if length < 0:
      raise self.broken("names something without an end")
    self.position += length + 1
    return self.text(window[:length])

  def text(self, data: memoryview | bytes) -> str:
    try:
      return str(data, "utf-8")
    except UnicodeDecodeError as error:
      raise self.broken("has a string that is not UTF-8") from error

  def push(self, value: Any) -> None:
    self.stack.append(value)

  def pop(self) -> Any:
    if not self.stack:
      raise self.broken("takes from an empty stack")
    return self.stack.pop()

  def top(self) -> Any:
    if not self.stack:
      raise self.broken("takes from an empty stack")
    return self.stack[-1]

  def mark(self) -> None:
    self.below.append(self.stack)
    self.stack = []

  def since_mark(self) -> list[Any]:
    """Takes everything off the stack down to the last mark."""
    if not self.below:
      raise self.broken("has no mark to go back to")
    values, self.stack = self.stack, self.below.pop()
    return values

  def tuple_of(self, count: int) -> None:
    self.push(tuple([self.pop() for _ in range(count)][::-1]))

  def blob(self, data: memoryview, text: bool = False) -> None:
    """Pushes a byte string, which in Python 2's pickles may be text."""
    if len(data) > _SMALL:
      self.push(data)
    else:
      self.push(str(data, "latin-1") if text else bytes(data))

  def integer(self, count: int) -> None:
    if count < 0 or count > _MAX_INT_BYTES:
      raise self.broken(f"has a number of {count} bytes")
    self.push(int.from_bytes(self.take(count), "little", signed=True))

  def put(self, index: int) -> None:
    self.memo[index] = self.top()

  def get(self, index: int) -> None:
    if index not in self.memo:
      raise self.broken(f"asks for value {index}, which it has not made")
    self.push(self.memo[index])

  def protocol(self) -> None:
    version = self.take(1)[0]
    if version > 5:
      raise self.broken(f"is of protocol {version}, which does not exist")

  def frame(self) -> None:
    if self.number("<Q") > len(self.data) - self.position:
      raise self.broken("has a frame that ends after the file")

  def import_name(self, module: Any, name: Any) -> None:
    if not (isinstance(module, str) and isinstance(name, str)):
      raise Unreadable("its pickle imports something that is not a name", UNTRUSTED)
    self.push(policy.find(module, name))

  def stack_global(self) -> None:
    name, module = self.pop(), self.pop()
    self.import_name(module, name)

  def reduce(self) -> None:
    arguments, function = self.pop(), self.pop()
    self.push(policy.call(function, arguments))

  def new_object(self) -> None:
    arguments, kind = self.pop(), self.pop()
    self.push(policy.instance(kind, arguments))

  def build(self) -> None:
    state = self.pop()
    building.build(self.top(), state)

  def set_items(self, items: list[Any]) -> None:
    if len(items) % 2:
      raise self.broken("has a key without a value")
    building.set_items(self.top(), zip(items[::2], items[1::2], strict=True))

  def dictionary(self) -> None:
    items = self.since_mark()
    self.push({})
    self.set_items(items)

  def set_item(self) -> None:
    value, key = self.pop(), self.pop()
    self.set_items([key, value])

  def extend(self, items: list[Any]) -> None:
    target = self.top()
    if type(target) is not list:
      raise Unreadable(f"its pickle appends to {kind_of(target)}", UNTRUSTED)
    target.extend(items)

  def add(self) -> None:
    items, target = self.since_mark(), self.top()
    if type(target) is not set:
      raise Unreadable(f"its pickle adds to {kind_of(target)}", UNTRUSTED)
    target.update(map(key, items))

  def frozen_set(self) -> None:
    self.push(frozenset(map(key, self.since_mark())))

  def persistent_id(self) -> None:
    if self.persistent is None:
      raise Unreadable("its pickle refers to something outside it", UNTRUSTED)
    self.push(self.persistent(self.pop()))


def _append(machine: _Machine) -> None:
  machine.extend([machine.pop()])


_HANDLERS: dict[int, Callable[[_Machine], Any]] = {
  ord(code): handler
  for code, handler in {
    b"\x80": _Machine.protocol,
    b"\x95": _Machine.frame,
    b"(": _Machine.mark,
    b"0": _Machine.pop,
    b"1": _Machine.since_mark,
    b"2": lambda m: m.push(m.top()),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"J": lambda m: m.push(m.number("<i")),
    b"G": lambda m: m.push(m.number(">d")),
    b"\x8a": lambda m: m.integer(m.number("<B")),
    b"\x8b": lambda m: m.integer(m.number("<i")),
    b"\x8c": lambda m: m.push(m.text(m.take(m.number("<B")))),
    b"X": lambda m: m.push(m.text(m.take(m.number("<I")))),
    b"\x8d": lambda m: m.push(m.text(m.take(m.number("<Q")))),
    b"U": lambda m: m.blob(m.take(m.number("<B")), text=True),
    b"T": lambda m: m.blob(m.take(m.number("<I")), text=True),
    b"C": lambda m: m.blob(m.take(m.number("<B"))),
    b"B": lambda m: m.blob(m.take(m.number("<I"))),
    b"\x8e": lambda m: m.blob(m.take(m.number("<Q"))),
    b"\x96": lambda m: m.blob(m.take(m.number("<Q"))),
    b"]": lambda m: m.push([]),
    b"}": lambda m: m.push({}),
    b")": lambda m: m.push(()),
    b"\x8f": lambda m: m.push(set()),
    b"l": lambda m: m.push(m.since_mark()),
    b"t": lambda m: m.push(tuple(m.since_mark())),
    b"d": _Machine.dictionary,
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"\x91": _Machine.frozen_set,
    b"a": _append,
    b"e": lambda m: m.extend(m.since_mark()),
    b"s": _Machine.set_item,
    b"u": lambda m: m.set_items(m.since_mark()),
    b"\x90": _Machine.add,
    b"q": lambda m: m.put(m.number("<B")),
    b"r": lambda m: m.put(m.number("<I")),
    b"\x94": lambda m: m.put(len(m.memo)),
    b"h": lambda m: m.get(m.number("<B")),
    b"j": lambda m: m.get(m.number("<I")),
    b"c": lambda m: m.import_name(m.line(), m.line()),
    b"\x93": _Machine.stack_global,
    b"R": _Machine.reduce,
    b"\x81": _Machine.new_object,
    b"b": _Machine.build,
    b"Q": _Machine.persistent_id,
  }.items()
}
