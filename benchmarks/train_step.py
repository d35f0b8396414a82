"""A YOLOv4-CSP train step at 416², batch 2, on the CPU: ours beside upstream's.

Each side builds its own task, optimizer and input from the same records and runs the step that its
trainer runs, in graph mode, in a process of its own; the sides take turns. Upstream's loss scatters
at −1 for padded objects, which the CPU refuses: its scatter is given clipped indices here.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.steps import print_measured
from official.cli.app import prepare_tensorflow

_SIZE, _BATCH, _WARM_UP, _STEPS, _ROUNDS = 416, 2, 2, 8, 2
_CATEGORIES = 80


def main() -> None:
  """Runs both sides in turn and prints seconds a step and peak memory."""
  with tempfile.TemporaryDirectory() as directory:
    _generate(Path(directory))
    sides = {"ours": [], "upstream": []}
    for _ in range(_ROUNDS):
      for side, results in sides.items():
        results.append(_measure(side, directory))
  median = {
    side: {key: statistics.median(result[key] for result in results) for key in results[0]}
    for side, results in sides.items()
  }
  print(f"train step: v4-csp, {_SIZE}x{_SIZE}, batch {_BATCH}; medians of {_ROUNDS} processes")
  for key, unit in (("wall", "s"), ("cpu", "CPU s"), ("memory", "GB")):
    ours, theirs = median["ours"][key], median["upstream"][key]
    print(f"  {unit:6} ours {ours:6.2f}   upstream {theirs:6.2f}   x{theirs / ours:.2f}")


def _generate(root: Path) -> None:
  from official.datasets.shapes import Shapes, make_shapes

  make_shapes(Shapes(root, train=16, val=1, size=_SIZE, seed=0, workers=1))


def _measure(side: str, directory: str) -> dict[str, float]:
  command = [sys.executable, "-m", "benchmarks.train_step", "--side", side, "--data", directory]
  result = subprocess.run(command, check=True, capture_output=True, text=True)
  return json.loads(result.stdout.splitlines()[-1])


def _run_side(side: str, directory: str) -> None:
  prepare_tensorflow()
  pattern = f"{directory}/train-*.tfrecord"
  step = {"ours": _our_step, "upstream": _upstream_step}[side](pattern)
  print_measured(step, _WARM_UP, _STEPS)


def _our_step(pattern: str) -> Callable[[], Any]:
  import projects.registry  # noqa: F401

  changes = {"categories": "", "model": {"num_classes": 6, "input_size": _SIZE}}
  return _step("yolo_v4_csp_coco", changes, pattern)


def _upstream_step(pattern: str) -> Callable[[], Any]:
  from official.projects.yolo.configs import yolo  # noqa: F401
  from official.projects.yolo.modeling.backbones import darknet  # noqa: F401
  from official.projects.yolo.modeling.decoders import yolo_decoder  # noqa: F401
  from official.projects.yolo.ops import loss_utils
  from official.projects.yolo.tasks import yolo as task  # noqa: F401

  loss_utils.tf = _ClippedScatter(loss_utils.tf)
  changes = {
    "model": {"num_classes": _CATEGORIES, "input_size": [_SIZE, _SIZE, 3]},
    "train_data": {"decoder": {"simple_decoder": {"coco91_to_80": False}}},
  }
  return _step("scaled_yolo", changes, pattern)


class _ClippedScatter:
  """TensorFlow, but for scatters: they pass over negative indices."""

  def __init__(self, tf: Any) -> None:
    self._tf = tf

  def __getattr__(self, name: str) -> Any:
    return getattr(self._tf, name)

  def tensor_scatter_nd_max(self, grid: Any, indices: Any, updates: Any) -> Any:
    return self._tf.tensor_scatter_nd_max(grid, *self._clip(grid, indices, updates))

  def tensor_scatter_nd_update(self, grid: Any, indices: Any, updates: Any) -> Any:
    return self._tf.tensor_scatter_nd_update(grid, *self._clip(grid, indices, updates))

  def _clip(self, grid: Any, indices: Any, updates: Any) -> tuple[Any, Any]:
    used = self._tf.reduce_all(indices >= 0, axis=-1, keepdims=True)
    indices = self._tf.maximum(indices, 0)
    return indices, self._tf.where(used, updates, self._tf.gather_nd(grid, indices))


def _step(experiment: str, changes: dict, pattern: str) -> Callable[[], Any]:
  """The train step of a registered experiment on its own input, as a graph."""
  import tensorflow as tf

  from official.core import exp_factory, task_factory, train_utils

  params = exp_factory.get_exp_config(experiment)
  params.task.override(changes)
  params.task.train_data.override({"input_path": pattern, "global_batch_size": _BATCH})
  params.runtime.override({"mixed_precision_dtype": "float32"})
  task = task_factory.get_task(params.task)
  model = task.build_model()
  optimizer = train_utils.create_optimizer(task, params)
  batches: Iterator = iter(task.build_inputs(params.task.train_data))
  inputs = next(batches)  # One batch again and again: the step is timed, not the input.
  if hasattr(optimizer, "shadow_copy"):
    optimizer.shadow_copy(model)

  @tf.function
  def step() -> Any:
    return task.train_step(inputs, model=model, optimizer=optimizer, metrics=[])

  return step


if __name__ == "__main__":
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--side", choices=["ours", "upstream"])
  parser.add_argument("--data")
  args = parser.parse_args()
  _run_side(args.side, args.data) if args.side else main()
