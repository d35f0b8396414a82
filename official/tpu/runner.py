"""Runs an exported step through JAX, on CPU, GPU or TPU; TensorFlow need not be installed.

  python -m official.tpu.runner FOLDER --steps 10 [--batch batch.safetensors] [--output DIR]

FOLDER is what `tools/export_step.py` wrote. Needs jax, numpy and safetensors, and nothing of this
package but `__init__`s: the folder `official/tpu` with this file can be copied alone.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from jax import export
from safetensors.numpy import load_file, save_file

_FORMAT, _VERSION = "transplant step", 1

Arrays = dict[str, np.ndarray]


class StepRunner:
  """A step, and the variables that it goes on with.

  Attributes:
    inputs: (name, shape, dtype) of each input.
    variables: present values, by name; on the device.

  Args:
    folder: what `tools/export_step.py` wrote.

  Raises:
    ValueError: it is none, or of another version.
  """

  def __init__(self, folder: Path) -> None:
    jax.config.update("jax_enable_x64", True)  # A step's counters are int64.
    about = json.loads((folder / "step.json").read_text())
    if about.get("format") != _FORMAT or about.get("version") != _VERSION:
      raise ValueError(f"{folder} is no exported step of version {_VERSION}")
    self.inputs = [(each["name"], each["shape"], each["dtype"]) for each in about["inputs"]]
    self._outputs = about["outputs"]
    self._written = {v["name"]: v["result"] for v in about["variables"] if v["result"] is not None}
    stored = load_file(folder / "variables.safetensors")
    # Where results will be, too: what is bound to no device would be compiled for once more.
    device = jax.devices()[0]
    self.variables = {
      v["name"]: jax.device_put(stored[v["name"]], device) for v in about["variables"]
    }
    program = export.deserialize(bytearray((folder / "step.bin").read_bytes()))
    self._program = jax.jit(program.call)

  def step(self, batch: Mapping[str, np.ndarray]) -> Arrays:
    """Runs the step once; the variables that it writes have new values afterwards.

    Args:
      batch: an array for each input.

    Returns:
      the outputs, by name.
    """
    given = [self._checked(batch, *each) for each in self.inputs]
    results = self._program(*given, *self.variables.values())
    self.variables |= {name: results[place] for name, place in self._written.items()}
    return dict(zip(self._outputs, results, strict=False))

  def _checked(
    self, batch: Mapping[str, np.ndarray], name: str, shape: list[int], dtype: str
  ) -> np.ndarray:
    array = np.asarray(batch[name])
    if list(array.shape) != shape or array.dtype != dtype:
      raise ValueError(f"input {name}: {dtype}{shape} expected, {array.dtype}{array.shape} given")
    return array

  def wait(self) -> None:
    """Until everything that was begun is done."""
    jax.block_until_ready(self.variables)

  def synthetic(self, seed: int = 0) -> Arrays:
    """A batch of random numbers: images in 0..255, fractions in 0..1, numbers 0, no flag set."""
    random = np.random.default_rng(seed)
    makers = {
      "uint8": lambda shape: random.integers(0, 256, shape),
      "float32": random.random,
      "float64": random.random,
    }
    return {
      name: np.asarray(makers.get(dtype, np.zeros)(shape), dtype)
      for name, shape, dtype in self.inputs
    }


def main() -> None:
  """Runs the command."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("folder", type=Path, help="an exported step")
  parser.add_argument("--steps", type=int, default=10, help="how many [10]")
  parser.add_argument("--batch", type=Path, help="safetensors with an array for each input")
  parser.add_argument("--output", type=Path, help="write the variables here, as safetensors")
  arguments = parser.parse_args()
  runner = StepRunner(arguments.folder)
  batch = load_file(arguments.batch) if arguments.batch else runner.synthetic()
  times = _timed(runner, batch, arguments.steps)
  if arguments.output:
    save_file({name: np.asarray(v) for name, v in runner.variables.items()}, arguments.output)
  device = jax.devices()[0]
  later = sorted(times[1:]) or times
  print(f"{device.platform} {device.device_kind}: {len(times)} steps; the first {times[0]:.3f} s, "
        f"then {later[len(later) // 2]:.4f} s in the median")  # fmt: skip


def _timed(runner: StepRunner, batch: Arrays, steps: int) -> list[float]:
  """Seconds of each step; the first one compiles."""
  times = []
  for _ in range(steps):
    began = time.monotonic()
    outputs = runner.step(batch)
    runner.wait()
    jax.block_until_ready(outputs)
    times.append(time.monotonic() - began)
  return times


if __name__ == "__main__":
  sys.exit(main())
