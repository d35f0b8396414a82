"""MaskFormer from scratch on the built-in shapes, seed by seed: ours and transformers' on PyTorch.

Ours is `train.py` with the shipped experiment. Theirs is transformers' network of the same sizes
(its ResNet is given the deep stem that ours has), with PyTorch's initial weights, on the same
batches, for as many steps, with the same loss weights and optimizer (PyTorch's AdamW); the same
code evaluates both. Runs that go on at a time share the cores. Results are kept beside this file: a
run that has one, of the experiment as it is now, is not repeated. One that was killed goes on; what
it took is then not known. Minutes are of the processor: idle, two cores take half as many.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import threading
from concurrent import futures
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from official.cli.app import prepare_tensorflow
from official.cli.files import write_file

_EXPERIMENT = "maskformer_tiny_shapes"
_SEEDS = range(3)
_SIDES = ("ours", "theirs")
_RESULTS = Path(__file__).with_suffix(".json")

Result = dict[str, Any]


def main(workers: int, folder: Path) -> None:
  """Makes the data, trains both sides with every seed, ours first, and prints the figures."""
  if not (folder / "shapes").exists():
    _run(
      "tools/prepare_data.py", "shapes", f"--output={folder}/shapes",
      "--train=24000", "--val=300", "--size=160",
    )  # fmt: skip
  results = json.loads(_RESULTS.read_text()) if _RESULTS.exists() else {}
  settings, lock = _settings(), threading.Lock()

  def complete(side: str, seed: int) -> None:
    if results.get(f"{side} {seed}", {}).get("settings") == settings:
      return
    found = _measure(side, seed, folder, os.cpu_count() // workers) | {"settings": settings}
    with lock:
      results[f"{side} {seed}"] = found
      write_file(_RESULTS, f"{json.dumps(results, indent=1, sort_keys=True)}\n".encode())

  with futures.ThreadPoolExecutor(workers) as pool:
    for job in [pool.submit(complete, side, seed) for side in _SIDES for seed in _SEEDS]:
      job.result()
  _print(results)


def _print(results: dict[str, Result]) -> None:
  print("seed   ours: PQ   CPU min   transformers: PQ   CPU min   difference")
  differences = []
  for seed in _SEEDS:
    ours, theirs = (results[f"{side} {seed}"] for side in _SIDES)
    differences.append(ours["PQ"] - theirs["PQ"])
    print(
      f"{seed}      {ours['PQ']:.3f}      {_minutes(ours)}     "
      f"{theirs['PQ']:.3f}              {_minutes(theirs)}     {differences[-1]:+.3f}"
    )
  spread = stats.t.ppf(0.975, len(differences) - 1) * stats.sem(differences)
  print(f"difference {np.mean(differences):+.3f} ± {spread:.3f} (95 % of the mean, Student's t)")


def _minutes(result: Result) -> str:
  return f"{result['cpu_minutes']:5.1f}" if result["cpu_minutes"] else "    ?"


def _settings() -> str:
  """A digest of the experiment, which tells results of another recipe."""
  prepare_tensorflow()
  import projects.registry  # noqa: F401
  from official.training import settings

  text = json.dumps(settings.experiment(_EXPERIMENT).as_dict(), sort_keys=True, default=str)
  return hashlib.sha256(text.encode()).hexdigest()[:16]


def _measure(side: str, seed: int, folder: Path, threads: int) -> Result:
  command = [sys.executable, "-m", "benchmarks.convergence", f"--directory={folder}"]
  command += ["--side", side, "--seed", str(seed)]
  names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
  is_whole = not (folder / f"{side}{seed}").exists()
  done = subprocess.run(
    command,
    check=True,
    stdout=subprocess.PIPE,
    text=True,
    env=os.environ | dict.fromkeys(names, str(threads)),
  )
  result = json.loads(done.stdout.splitlines()[-1])
  return result if is_whole else result | {"cpu_minutes": None}


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
  prepare_tensorflow()
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
  prepare_tensorflow()
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
    print(json.dumps(side(args.seed, args.directory) | {"cpu_minutes": sum(os.times()[:4]) / 60}))
  else:
    main(args.workers, args.directory)
