"""A step that runs without TensorFlow: StableHLO, variables, and what they are called.

A folder of three files: `step.bin` (a program as `jax.export` serializes it),
`variables.safetensors`, and `step.json`, which is written last:

  format, version  what this is
  kind             train or eval
  inputs           of each: name, shape, dtype
  outputs          names, in order
  variables        of each: name; "result", the number of the program's result that is its new
                   value, or null where the step does not write it
  environment      versions that wrote it
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from safetensors.numpy import save

from official.cli.errors import UserError
from official.cli.files import write_file
from official.tpu.lowering import Program
from official.tpu.step import Step

FORMAT = "transplant step"
VERSION = 1
_ALIASES = re.compile(r"input_output_alias=\{((?:[^{}]|\{[^{}]*\})*)\}")
_ALIAS = re.compile(r"\{(\d*)\}: \((\d+), \{\}")


def write(step: Step, program: Program, directory: Path, environment: Mapping[str, str]) -> None:
  """Writes a step of one replica and the present values of its variables.

  Args:
    step: traced for one replica.
    program: what it was lowered to.
    directory: is made where it is missing.
    environment: versions.

  Raises:
    UserError: the step cannot be written down, or the system refuses.
  """
  from official.tpu import stablehlo

  names = _names(step, program.captured)
  results = _results(program)
  written = {parameter - program.inputs: result for result, parameter in results.items()}
  first = _outputs(program, step, results)
  values = {name: _value(each) for name, each in zip(names, program.captured, strict=True)}
  write_file(directory / "step.bin", stablehlo.artifact(program.hlo))
  write_file(directory / "variables.safetensors", save(values))
  description = {
    "format": FORMAT,
    "version": VERSION,
    "kind": step.kind,
    "inputs": [_input(path, spec) for path, spec in zip(step.inputs, step.specs, strict=True)],
    "outputs": list(step.outputs[:first]),
    "variables": [{"name": name, "result": written.get(place)} for place, name in enumerate(names)],
    "environment": dict(environment),
  }
  write_file(directory / "step.json", json.dumps(description, indent=1).encode())


def _input(name: str, spec: tf.TensorSpec) -> dict[str, Any]:
  return {"name": name, "shape": spec.shape.as_list(), "dtype": spec.dtype.name}


def _names(step: Step, captured: Sequence[Any]) -> list[str]:
  """A name for each capture: the variable's, with a number where several share it."""
  known = {id(variable.handle): variable.name for variable in step.graph.variables}
  names: list[str] = []
  for place, each in enumerate(captured):
    name = known.get(id(each), f"constant_{place}").removesuffix(":0")
    same = sum(other == name or other.startswith(f"{name}#") for other in names)
    names.append(f"{name}#{same}" if same else name)
  return names


def _value(captured: Any) -> np.ndarray:
  """What a variable holds now, or the constant."""
  if captured.dtype != tf.resource:
    return np.asarray(captured)
  shape_and_type = captured._handle_data.shape_and_type[0]
  dtype = tf.as_dtype(shape_and_type.dtype)
  return np.asarray(tf.raw_ops.ReadVariableOp(resource=captured, dtype=dtype))


def _results(program: Program) -> dict[int, int]:
  """Result → the parameter whose new value it is."""
  block = _ALIASES.search(program.text().partition("\n")[0])
  pairs = _ALIAS.findall(block[1]) if block else []
  return {int(result or 0): int(parameter) for result, parameter in pairs}


def _outputs(program: Program, step: Step, results: Mapping[int, int]) -> int:
  """How many of the program's results are outputs; they come first."""
  first = min(results, default=len(step.outputs))
  if first != len(step.outputs):
    raise UserError(
      f"the {step.kind} step has {len(step.outputs)} outputs, but its program {first}: "
      "some are constants or inputs handed through, which cannot be told apart"
    )
  return first
