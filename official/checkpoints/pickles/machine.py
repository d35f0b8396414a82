"""The pickle machine: reads opcodes, builds inert values, runs nothing.

The opcodes are those of protocols 2 to 5, as torch, numpy and detectron2 write them. Those of the
text protocol, and those that call classes in other ways (INST, OBJ, EXT), are refused.
"""

import pickletools
from collections.abc import Callable
from typing import Any

from official.checkpoints.pickles import building, policy
from official.checkpoints.pickles.keys import key, kind_of
from official.checkpoints.pickles.opcodes import HANDLERS
from official.checkpoints.pickles.stream import Stream
from official.checkpoints.problems import UNTRUSTED, Unreadable

MAX_WORK = 4_000_000  # Opcodes, mainly. A thousand parameters take 90,000.
_CALL = 20  # What a call counts for: what it makes is that much larger.
_MAX_INT_BYTES = 256
_SMALL = 1024  # Longer byte strings stay in the file.

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


class _Machine(Stream):
  """The state: a position in the file, a stack, the stacks below open marks, and the memo.

  Methods are what `opcodes` is made of.
  """

  def __init__(self, data: memoryview, start: int, persistent: Persistent | None) -> None:
    super().__init__(data, start)
    self.persistent = persistent
    self.stack: list[Any] = []
    self.below: list[list[Any]] = []
    self.memo: dict[int, Any] = {}
    self.work = MAX_WORK
    # Characters and bytes that calls may copy; each is passed on two or three times.
    self.copies = 4 * len(data) + _SMALL

  def run(self) -> Any:
    while self.work > 0:
      self.work -= 1
      code = self.take(1)[0]
      if code == ord("."):
        return self._result()
      handler = HANDLERS.get(code)
      if handler is None:
        raise self._refused(code)
      handler(self)
    raise Unreadable("its pickle is larger than any checkpoint", UNTRUSTED)

  def charge(self, arguments: Any) -> None:
    """Counts what a call copies: a value that is made once can be copied a million times."""
    self.work -= _CALL
    for argument in arguments if isinstance(arguments, tuple) else (arguments,):
      if isinstance(argument, str | bytes | memoryview):
        self.copies -= len(argument)
      elif isinstance(argument, list | tuple | dict | set | frozenset):
        self.work -= len(argument)
    if self.work < 0 or self.copies < 0:
      raise Unreadable("its pickle copies more than any checkpoint does", UNTRUSTED)

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
    self.charge(arguments)
    self.push(policy.call(function, arguments))

  def new_object(self) -> None:
    arguments, kind = self.pop(), self.pop()
    self.charge(())
    self.push(policy.instance(kind, arguments))

  def build(self) -> None:
    state = self.pop()
    self.charge(state)
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
    value, name = self.pop(), self.pop()
    self.set_items([name, value])

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

  def empty_set(self) -> None:
    self.charge(())
    self.push(set())

  def frozen_set(self) -> None:
    self.charge(())
    self.push(frozenset(map(key, self.since_mark())))

  def persistent_id(self) -> None:
    if self.persistent is None:
      raise Unreadable("its pickle refers to something outside it", UNTRUSTED)
    self.push(self.persistent(self.pop()))
