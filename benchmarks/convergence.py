"""MaskFormer from scratch on the built-in shapes, seed by seed: ours and transformers' on PyTorch.

Ours is `train.py` with the shipped experiment. Theirs is transformers' network of the same sizes
(its ResNet is given the deep stem that ours has), with PyTorch's initial weights, on the same
batches, for as many steps, with the same loss weights and optimizer (PyTorch's AdamW); the same
code evaluates both. Runs that go on at a time share the cores. A run whose result lies in the
folder is not repeated, and one that was killed goes on; its minutes are then not known.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from concurrent import futures
from pathlib import Path
from typing import Any

import numpy as np

from official.cli.app import quiet_tensorflow
from official.cli.files import write_file

_EXPERIMENT = "maskformer_tiny_shapes"
_STUDENT = 4.303  # Of 3 pairs: two degrees of freedom, 95 %, both sides.
_SEEDS = range(3)


def main(workers: int, folder: Path) -> None:
  """Makes the data, trains both sides with every seed and prints the figures."""
  if not (folder / "shapes").exists():
    _run(
      "tools/prepare_data.py", "shapes", f"--output={folder}/shapes",
      "--train=24000", "--val=300", "--size=160",
    )  # fmt: skip
  with futures.ThreadPoolExecutor(workers) as pool:
    jobs = {
      (side, seed): pool.submit(_measure, side, seed, folder, os.cpu_count() // workers)
      for seed in _SEEDS
      for side in ("ours", "theirs")
    }
  _print({key: job.result() for key, job in jobs.items()})


def _print(found: dict[tuple[str, int], dict[str, float]]) -> None:
  print("seed   ours: PQ   minutes   transformers: PQ   minutes   difference")
  differences = []
  for seed in _SEEDS:
    ours, theirs = found["ours", seed], found["theirs", seed]
    differences.append(ours["PQ"] - theirs["PQ"])
    print(
      f"{seed}      {ours['PQ']:.3f}      {ours['minutes']:5.1f}     "
      f"{theirs['PQ']:.3f}              {theirs['minutes']:5.1f}     {differences[-1]:+.3f}"
    )
  spread = _STUDENT * np.std(differences, ddof=1) / len(differences) ** 0.5
  print(f"difference {np.mean(differences):+.3f} ± {spread:.3f} (95 % of the mean, Student's t)")


def _measure(side: str, seed: int, folder: Path, threads: int) -> dict[str, float]:
  path = folder / f"{side}{seed}.json"
  if not path.exists():
    command = [sys.executable, "-m", "benchmarks.convergence", f"--directory={folder}"]
    command += ["--side", side, "--seed", str(seed)]
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    is_resumed = (folder / f"{side}{seed}").exists()
    began = time.monotonic()
    done = subprocess.run(
      command,
      check=True,
      stdout=subprocess.PIPE,
      text=True,
      env=os.environ | dict.fromkeys(names, str(threads)),
    )
    result = json.loads(done.stdout.splitlines()[-1])
    result["minutes"] = math.nan if is_resumed else (time.monotonic() - began) / 60
    write_file(path, json.dumps(result).encode())
  return json.loads(path.read_text())


def _run(*command: str) -> None:
  subprocess.run([sys.executable, *command], check=True, stdout=sys.stderr)


def _ours(seed: int, folder: Path) -> dict[str, float]:
  """The last evaluation of the run, not the best one."""
  run = folder / f"ours{seed}"
  changes = ",".join(f"{key}={value}" for key, value in _inputs(seed, folder).items())
  _run(
    "train.py", f"--experiment={_EXPERIMENT}", "--mode=train_and_eval", f"--model_dir={run}",
    f"--params_override={changes}",
  )  # fmt: skip
  quiet_tensorflow()
  import tensorflow as tf

  files = sorted((run / "validation").glob("events.*"))
  events = (event for file in files for event in tf.compat.v1.train.summary_iterator(str(file)))
  values = [
    (event.step, float(tf.make_ndarray(value.tensor)))
    for event in events
    for value in event.summary.value
    if value.tag == "PQ"
  ]
  return {"PQ": max(values)[1]}


def _inputs(seed: int, folder: Path) -> dict[str, Any]:
  return {
    "task.train_data.seed": seed,
    "task.train_data.input_path": f"{folder}/shapes/train-*.tfrecord",
    "task.validation_data.input_path": f"{folder}/shapes/val-*.tfrecord",
  }


def _theirs(seed: int, folder: Path) -> dict[str, float]:
  quiet_tensorflow()
  import projects.registry  # noqa: F401
  from benchmarks.convergence_pytorch import train_and_evaluate
  from official.training import settings

  params = settings.experiment(_EXPERIMENT)
  for key, value in _inputs(seed, folder).items():
    settings.override(params, settings.parse_override(f"{key}={value}"), "the benchmark")
  return {"PQ": train_and_evaluate(params, seed, folder / f"theirs{seed}" / "last.pt")}


if __name__ == "__main__":
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--workers", type=int, default=1, help="runs at a time [%(default)s]")
  parser.add_argument(
    "--directory",
    type=Path,
    default=Path("runs/convergence"),
    help="of data and results [%(default)s]",
  )
  parser.add_argument("--side", choices=["ours", "theirs"], help=argparse.SUPPRESS)
  parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
  args = parser.parse_args()
  if args.side:
    side = {"ours": _ours, "theirs": _theirs}[args.side]
    print(json.dumps(side(args.seed, args.directory)))
  else:
    main(args.workers, args.directory)
