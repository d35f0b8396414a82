"""Programs of XLA's text form: computations of instructions."""

import dataclasses
import re
from collections.abc import Iterable, Iterator
from functools import cached_property

from official.tpu.hlo.shapes import Shape
from official.tpu.hlo.shapes import parse as parse_shape

_INSTRUCTION = re.compile(r"^\s+(?P<root>ROOT )?%?(?P<name>[\w.\-]+) = (?P<rest>.*)$")
_OPCODE = re.compile(r"\s*([\w\-]+)\(")
_OPERAND = re.compile(r"%([\w.\-]+)")
_ROLES = "calls|body|condition|to_apply|true_computation|false_computation"
_CALLED = re.compile(rf"\b({_ROLES})=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_OP_NAME = re.compile(r'op_name="([^"]*)"')
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One operation of a program.

  Attributes:
    name: unique in the program.
    opcode: such as `convolution`.
    shapes: of its results, flat.
    arguments: what stands in parentheses: operands, a parameter's number, a constant's value.
    attributes: what follows, as text.
  """

  name: str
  opcode: str
  shapes: tuple[Shape, ...]
  arguments: str
  attributes: str

  @cached_property
  def operands(self) -> tuple[str, ...]:
    """Names of instructions of the same computation."""
    return tuple(_OPERAND.findall(self.arguments))

  @cached_property
  def op_name(self) -> str:
    """The TensorFlow operation that it is of; empty where the compiler made it."""
    match = _OP_NAME.search(self.attributes)
    return match[1] if match else ""

  @cached_property
  def called(self) -> dict[str, tuple[str, ...]]:
    """Computations that it calls, by role."""
    roles: dict[str, tuple[str, ...]] = {}
    for role, name in _CALLED.findall(self.attributes):
      roles[role] = (*roles.get(role, ()), name)
    if branches := _BRANCHES.search(self.attributes):
      roles["branches"] = tuple(_OPERAND.findall(branches[1])) or tuple(
        name.strip() for name in branches[1].split(",")
      )
    return roles

  @property
  def cycles(self) -> int:
    """How many the compiler estimates; 0 where it does not say."""
    return sum(map(int, _CYCLES.findall(self.attributes)[:1]))

  @property
  def trips(self) -> int | None:
    """How often a loop runs; None where the compiler does not know."""
    match = _TRIPS.search(self.attributes)
    return int(match[1]) if match else None


@dataclasses.dataclass(frozen=True)
class Computation:
  """A function of a program; `root` is its result."""

  name: str
  instructions: dict[str, Instruction]
  root: Instruction

  @cached_property
  def parameters(self) -> list[Instruction]:
    """In order."""
    found = [each for each in self.instructions.values() if each.opcode == "parameter"]
    return sorted(found, key=lambda each: int(each.arguments))

  @cached_property
  def live(self) -> list[Instruction]:
    """What the root depends on; the rest is never run."""
    needed, waiting = set(), [self.root.name]
    while waiting:
      name = waiting.pop()
      if name not in needed:
        needed.add(name)
        waiting += [each for each in self.instructions[name].operands if each in self.instructions]
    return [each for name, each in self.instructions.items() if name in needed]

  @cached_property
  def users(self) -> dict[str, list[Instruction]]:
    """What takes each instruction's result."""
    users: dict[str, list[Instruction]] = {name: [] for name in self.instructions}
    for instruction in self.instructions.values():
      for operand in instruction.operands:
        users.setdefault(operand, []).append(instruction)
    return users


@dataclasses.dataclass(frozen=True)
class Module:
  """A program; `entry` is where it begins."""

  computations: dict[str, Computation]
  entry: Computation

  def of(self, instruction: Instruction, *roles: str) -> list[Computation]:
    """What `instruction` calls in the given roles."""
    names = (name for role in roles for name in instruction.called.get(role, ()))
    return [self.computations[name] for name in names if name in self.computations]


def parse(text: str) -> Module:
  """The program of XLA's text.

  Raises:
    ValueError: it is none.
  """
  computations: dict[str, Computation] = {}
  entry = ""
  for name, is_entry, lines in _blocks(text.splitlines()):
    computations[name] = _computation(name, lines)
    entry = name if is_entry else entry
  if not entry:
    raise ValueError("no ENTRY computation: this is no HLO module")
  return Module(computations, computations[entry])


def _blocks(lines: Iterable[str]) -> Iterator[tuple[str, bool, list[str]]]:
  """Name, whether it is the entry, and the lines of each computation."""
  name, is_entry, block = "", False, []
  for line in lines:
    if line and not line[0].isspace() and line.rstrip().endswith("{"):
      is_entry, head = line.startswith("ENTRY "), line.removeprefix("ENTRY ")
      name, block = re.split(r"[\s(]", head.removeprefix("%"), maxsplit=1)[0], []
    elif line.startswith("}") and name:
      yield name, is_entry, block
      name = ""
    elif name:
      block.append(line)


def _computation(name: str, lines: list[str]) -> Computation:
  instructions, root = {}, None
  for line in lines:
    if match := _INSTRUCTION.match(line):
      instruction = _instruction(match["name"], match["rest"])
      instructions[instruction.name] = instruction
      root = instruction if match["root"] else root
  if root is None:
    raise ValueError(f"the computation {name} has no root")
  return Computation(name, instructions, root)


def _instruction(name: str, rest: str) -> Instruction:
  end = _closing(rest, 0) + 1 if rest.startswith("(") else rest.index(" ")
  opcode = _OPCODE.match(rest, end)
  if not opcode:
    raise ValueError(f"no operation in '{name} = {rest[:80]}'")
  closing = _closing(rest, opcode.end() - 1)
  arguments = rest[opcode.end() : closing]
  return Instruction(name, opcode[1], parse_shape(rest[:end]), arguments, rest[closing + 1 :])


def _closing(text: str, opening: int) -> int:
  """Where the parenthesis at `opening` is closed."""
  depth = 0
  for place in range(opening, len(text)):
    depth += {"(": 1, ")": -1}.get(text[place], 0)
    if depth == 0:
      return place
  raise ValueError(f"a parenthesis is not closed in '{text[:80]}'")
