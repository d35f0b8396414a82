"""Floating-point operations of convolutions and matrix products: what matrix units compute.

Twice the multiply-adds. Zeros that pad an image count as its values do, as in
`official.inspection.flops`; zeros between dilated values (as in gradients of strided convolutions)
do not: no algorithm needs to multiply them. Nor do those around an image of one place in a window
that reaches over it from either end: that is how the compiler writes an outer product.
"""

import math
import re
from collections.abc import Callable, Iterator

from official.tpu.hlo.parsing import Computation, Instruction, Module
from official.tpu.hlo.shapes import Shape

_WINDOW = re.compile(r"window=\{([^}]*)\}")
_LABELS = re.compile(r"dim_labels=(\w+)_(\w+)->(\w+)")
_PRECISION = re.compile(r"operand_precision=\{([^}]*)\}")
_PASSES = {"high": 3, "highest": 6}

PRODUCTS = ("convolution", "dot")


def flops(instruction: Instruction, computation: Computation) -> int:
  """Of one convolution or matrix product; 0 of anything else."""
  if instruction.opcode not in PRODUCTS:
    return 0
  operands = [computation.instructions[name].shapes[0] for name in instruction.operands]
  count = _convolution if instruction.opcode == "convolution" else _dot
  return 2 * count(instruction, operands)


def features(instruction: Instruction, computation: Computation) -> tuple[int, int]:
  """What a product adds up over, and what it gives for each place: its input and output features.

  Of a convolution, the window is left out: a matrix unit takes one place of it after the other.
  """
  image, kernel = (computation.instructions[name].shapes[0] for name in instruction.operands)
  if instruction.opcode == "convolution":
    labels = _LABELS.search(instruction.attributes)[2]
    return kernel.sizes[labels.index("i")], kernel.sizes[labels.index("o")]
  inner = math.prod(image.sizes[dimension] for dimension in _contracted(instruction, "lhs"))
  outer = set(range(len(kernel.sizes))) - {
    *_contracted(instruction, "rhs"),
    *_dimensions(instruction, "rhs_batch_dims"),
  }
  return inner, math.prod(kernel.sizes[dimension] for dimension in outer)


def passes(instruction: Instruction) -> int:
  """How often a matrix unit, which multiplies bfloat16, runs for it at the precision asked for."""
  match = _PRECISION.search(instruction.attributes)
  return max((_PASSES.get(word, 1) for word in match[1].split(",")), default=1) if match else 1


def products(
  module: Module, loops: Callable[[Instruction], int] | None = None
) -> Iterator[tuple[Instruction, Computation, int]]:
  """Every product of a program, where it stands, and how often it runs.

  What no result depends on, such as the gradient by the images, is left out: it is never run.

  Args:
    module: the program.
    loops: how often a loop runs; by default as often as the compiler says, else once.
  """
  yield from _below(module, module.entry, 1, loops or trips)


def trips(instruction: Instruction) -> int:
  """How often a loop runs, once where the compiler does not know."""
  return instruction.trips or 1


def _below(
  module: Module, computation: Computation, times: int, loops: Callable[[Instruction], int]
) -> Iterator[tuple[Instruction, Computation, int]]:
  for instruction in computation.live:
    if instruction.opcode in PRODUCTS:
      yield instruction, computation, times
    inner = times * (loops(instruction) if instruction.opcode == "while" else 1)
    for called in module.of(instruction, *_roles(instruction)):
      yield from _below(module, called, inner, loops)


def _roles(instruction: Instruction) -> tuple[str, ...]:
  """The roles of what an instruction runs; a reduction's is a function of scalars."""
  call = ("to_apply",) if instruction.opcode == "call" else ()
  return (*call, "calls", "body", "true_computation", "false_computation", "branches")


def _dot(instruction: Instruction, operands: list[Shape]) -> int:
  contracted = _contracted(instruction, "lhs")
  inner = math.prod(operands[0].sizes[dimension] for dimension in contracted)
  return instruction.shapes[0].elements * inner


def _contracted(instruction: Instruction, side: str) -> list[int]:
  return _dimensions(instruction, f"{side}_contracting_dims")


def _dimensions(instruction: Instruction, attribute: str) -> list[int]:
  match = re.search(rf"{attribute}=\{{([\d,]*)\}}", instruction.attributes)
  return [int(each) for each in match[1].split(",") if each] if match else []


def _convolution(instruction: Instruction, operands: list[Shape]) -> int:
  """Each output adds up, over the window, a group's input features."""
  image, kernel, result = _LABELS.search(instruction.attributes).groups()
  output = instruction.shapes[0]
  features = operands[1].sizes[kernel.index("i")]
  outer = output.sizes[result.index("b")] * output.sizes[result.index("f")]
  window = _window(instruction.attributes)
  pairs = 1
  for place, label in enumerate(sorted(set(result) - set("bf"))):
    sizes = output.sizes[result.index(label)], operands[1].sizes[kernel.index(label)]
    along = {key: values[place] for key, values in window.items()}
    is_outer = operands[0].sizes[image.index(label)] == 1 and _reaches_over(sizes[1], along)
    pairs *= sizes[0] if is_outer else _meetings(*sizes, along)
  return outer * features * pairs


def _reaches_over(taps: int, window: dict[str, tuple[int, int]]) -> bool:
  """Whether each tap meets an image of one place, at one output."""
  return "stride" not in window and min(window.get("pad", (0, 0))) >= taps - 1


def _meetings(outputs: int, taps: int, window: dict[str, tuple[int, int]]) -> int:
  """How often an output and a tap of the window meet at a value that is not a dilation's zero."""
  step, low = window.get("stride", (1, 1))[0], window.get("pad", (0, 0))[0]
  spread, holes = window.get("rhs_dilate", (1, 1))[0], window.get("lhs_dilate", (1, 1))[0]
  if holes == 1:
    return outputs * taps
  places = ((o * step + k * spread - low) % holes == 0 for o in range(outputs) for k in range(taps))
  return sum(places)


def _window(attributes: str) -> dict[str, list[tuple[int, int]]]:
  """Each property of the window by dimension; a padding has two numbers, anything else one."""
  match = _WINDOW.search(attributes)
  fields = (field.split("=") for field in match[1].split()) if match else ()
  return {key: [_numbers(text) for text in value.split("x")] for key, value in fields}


def _numbers(text: str) -> tuple[int, int]:
  first, _, last = text.partition("_")
  return int(first), int(last or first)
