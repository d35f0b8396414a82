"""The whole benchmark as tasks that worker processes take one after the other."""

import concurrent.futures
import contextlib
import multiprocessing
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from official.cli.progress import Progress

if TYPE_CHECKING:
  from benchmarks.parity.judge import Clean, Judgement

SEED = 3  # Of planted defects; clean runs have seeds of their own.

CleanRun = tuple[str, bool, str, int]  # Case, whether in its other size, precision, seed.


def run_defects(titles: Sequence[str], workers: int) -> list["Judgement"]:
  """Judges the defects of these titles, in order."""
  return list(_mapped("planted defects", _judge, titles, workers))


def run_clean(runs: Sequence[CleanRun], workers: int) -> list["Clean"]:
  """Judges clean cases, in order."""
  return list(_mapped("clean runs", _judge_clean, runs, workers))


def _mapped(what: str, function: object, tasks: Sequence[object], workers: int) -> Iterator:
  # Fresh processes: a forked TensorFlow hangs.
  context = multiprocessing.get_context("spawn")
  with (
    tempfile.TemporaryDirectory(prefix="bench-parity-") as directory,
    concurrent.futures.ProcessPoolExecutor(workers, context, _prepare, (directory,)) as pool,
    Progress(what, len(tasks), "runs") as progress,
  ):
    for result in pool.map(function, tasks):
      progress.advance()
      yield result


_directory = ""


def _prepare(directory: str) -> None:
  """Makes a worker quiet and single-threaded: arrays are small, and every core has a worker."""
  global _directory
  _directory = tempfile.mkdtemp(dir=directory)
  os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
  for library in ("OMP", "MKL", "OPENBLAS"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
  from official.cli.app import prepare_tensorflow

  prepare_tensorflow()
  import tensorflow as tf
  import torch

  torch.set_num_threads(1)
  tf.config.threading.set_intra_op_parallelism_threads(1)
  tf.config.threading.set_inter_op_parallelism_threads(1)


def _judge(title: str) -> "Judgement":
  from benchmarks.parity.cases.all import case
  from benchmarks.parity.catalogue import BY_TITLE
  from benchmarks.parity.judge import judge

  defect = BY_TITLE[title]
  with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
    return judge(defect, case(defect.case), SEED, _recording(defect.case))


def _judge_clean(run: CleanRun) -> "Clean":
  from benchmarks.parity.cases.all import case
  from benchmarks.parity.judge import judge_clean

  name, other, precision, seed = run
  return judge_clean(case(name, other), name, precision, seed)


def _recording(name: str) -> Path:
  """The original of a case, recorded once by each worker."""
  from benchmarks.parity.cases.all import case
  from official.parity import session

  path = Path(_directory) / f"{name.replace('/', '-')}.safetensors"
  if not path.exists():
    session.record(case(name), path, seed=SEED)
  return path
