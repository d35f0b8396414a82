"""YOLOv4-CSP and YOLOv7 at 640², batch 1, on the CPU: forward and train step, ours and PyTorch's.

    python -m benchmarks.yolo_speed --yolov7 CHECKOUT

v4-csp's original is Darknet's network from its `.cfg` with ScaledYOLOv4's loss, as in
`projects/yolo/reference`. v7's is WongKinYiu's program, of which `CHECKOUT` is a working tree
(GPL-3, so it stays outside); without it v7 is left out.

Forward is inference without suppression: v4-csp's raw outputs; v7's decoded to boxes, as the
original does. v7 is compared twice, as trained and deployed: the original's `fuse()` beside what
our detectors run. A train step is forward, loss (v7: with dynamic assignment), gradients, and SGD
with Nesterov momentum and weight decay; neither side averages its weights. All is float32, ours in
graph mode. Each side is a process of its own, and they take turns step by step: ratios are medians
over the rounds. PyTorch's threads wait passively (OMP_WAIT_POLICY), unless the environment says
otherwise: beside other work they else burn up to four times the CPU time. The last row is the peak
memory beyond what importing the libraries takes.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from benchmarks.steps import in_turn, measure_on_request, peak_memory
from official.cli.app import prepare_tensorflow

_JOBS = ("v4-csp forward", "v4-csp train", "v7 forward", "v7 deployed", "v7 train")
_SIZE, _CLASSES, _OBJECTS = 640, 80, 8
_GAIN = 1.9  # Of kernels: signals neither grow nor fade into denormal numbers, which are slow.
_WARM_UP, _ROUNDS = 2, 9

Step = Callable[[], Any]
Results = list[dict[str, float]]


def main() -> None:
  """Runs both sides in turn and prints seconds a step and peak memory."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--yolov7", default="", help="working tree of WongKinYiu's yolov7")
  parser.add_argument("--jobs", nargs="+", choices=_JOBS, default=_JOBS, help="what is measured")
  parser.add_argument("--rounds", type=int, default=_ROUNDS, help="steps of each side")
  parser.add_argument("--threads", type=int, default=0, help="of each side; 0: as it chooses")
  parser.add_argument("--side", choices=["ours", "theirs"], help=argparse.SUPPRESS)
  args = parser.parse_args()
  if args.side:
    _run_side(args.side, args.jobs[0], args.yolov7, args.threads)
  else:
    compare(args.jobs, args.yolov7, args.rounds, args.threads)


def compare(jobs: Sequence[str], checkout: str, rounds: int, threads: int) -> None:
  """Measures and prints one job after the other, without those whose original is not there."""
  for job in jobs:
    if job.startswith("v7") and not checkout:
      print(f"{job}: left out, --yolov7 names no checkout of the original")
      continue
    commands = {side: _command(side, job, checkout, threads) for side in ("ours", "theirs")}
    print("\n".join(table(job, in_turn(commands, _WARM_UP, rounds))), flush=True)


def _command(side: str, job: str, checkout: str, threads: int) -> list[str]:
  program = [sys.executable, "-m", "benchmarks.yolo_speed", "--threads", str(threads)]
  return [*program, "--side", side, "--jobs", job, "--yolov7", checkout]


def table(job: str, sides: Mapping[str, Results]) -> list[str]:
  """Lines with the medians of "ours" and "theirs", and the median of their ratios by round."""
  lines = [f"{job}: {_SIZE}x{_SIZE}, batch 1; medians of {len(sides['ours'])} rounds"]
  for key, unit in (("wall", "s"), ("cpu", "CPU s"), ("memory", "GB"), ("beyond", "GB")):
    ours, theirs = ([result[key] for result in sides[side]] for side in ("ours", "theirs"))
    ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
    lines.append(
      f"  {unit:6} ours {median(ours):6.2f}   PyTorch {median(theirs):6.2f}   ratio {ratio:.2f}"
    )
  return lines


def _run_side(side: str, job: str, checkout: str, threads: int) -> None:
  variant, work = job.split()
  scene = make_scene(_SIZE)
  if side == "ours":
    prepare_tensorflow()
    import tensorflow as tf

    import projects.registry  # noqa: F401

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    imports = peak_memory()
    step = make_our_step(variant, work, scene)
  else:
    # Beside other work OpenMP's threads wait long for each other, by default spinning.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from benchmarks import yolo_speed_pytorch

    torch.set_num_threads(threads or torch.get_num_threads())
    imports = peak_memory()
    step = yolo_speed_pytorch.make_step(variant, work, scene, _GAIN, checkout)
  measure_on_request(step, imports)


def make_scene(size: int) -> dict[str, np.ndarray]:
  """Noise as an image, and objects of all sizes.

  Returns:
    `images` [1, s, s, 3] float32 in 0..1; `boxes` [1, n, 4] yxyx in 0..1, `classes` [1, n], `valid`
    [1, n].
  """
  generator = np.random.default_rng(0)
  corner = generator.uniform(0, 0.7, [1, _OBJECTS, 2])
  sides = np.exp(generator.uniform(np.log(0.05), np.log(0.9), [1, _OBJECTS, 2]))
  boxes = np.concatenate([corner, np.minimum(corner + sides, 1)], axis=-1)
  return {
    "images": generator.random([1, size, size, 3], np.float32),
    "boxes": boxes.astype(np.float32),
    "classes": generator.integers(0, _CLASSES, [1, _OBJECTS]).astype(np.int32),
    "valid": np.ones([1, _OBJECTS], bool),
  }


def make_our_step(variant: str, work: str, scene: Mapping[str, np.ndarray]) -> Step:
  """One forward pass or train step, as a graph.

  Args:
    variant: whose experiment on COCO is taken.
    work: "forward", "deployed" or "train".
    scene: of `make_scene`.
  """
  import tensorflow as tf

  import projects.registry  # noqa: F401
  from official.training import settings
  from projects.yolo.modeling.deploy import deployed
  from projects.yolo.tasks.yolo import YoloTask

  params = settings.experiment(f"yolo_{variant.replace('-', '_')}_coco")
  params.task.model.input_size = scene["images"].shape[1]
  params.trainer.optimizer_config.ema = None
  task = YoloTask(params.task)
  model = task.build_model()
  _strengthen(model)
  data = {name: tf.constant(array) for name, array in scene.items()}
  if work != "train":
    model = deployed(model) if work == "deployed" else model
    return _our_forward(model, data["images"], decodes=variant.startswith("v7"))
  optimizer = task.create_optimizer(params.trainer.optimizer_config)
  inputs = data.pop("images"), data

  @tf.function
  def step() -> Any:
    return task.train_step(inputs, model=model, optimizer=optimizer, metrics=[])

  return step


def _our_forward(model: Any, images: Any, decodes: bool) -> Step:
  import tensorflow as tf

  from projects.yolo.modeling.decoding import decode_level

  @tf.function
  def step() -> Any:
    raw = model(images, training=False)["raw"]  # Suppression, which nobody reads, is pruned.
    if not decodes:
      return raw
    levels = [decode_level(raw[level], int(level), model.coordinates) for level in raw]
    return raw, [tf.concat(parts, axis=1) for parts in zip(*levels, strict=True)]

  return step


def _strengthen(model: Any) -> None:
  import tf_keras

  for layer in model.submodules:
    if isinstance(layer, tf_keras.layers.Conv2D):
      layer.kernel.assign(layer.kernel * _GAIN)


if __name__ == "__main__":
  main()
