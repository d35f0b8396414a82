"""A step's cost, measured in a process that does nothing else."""

import json
import resource
import statistics
import time
from collections.abc import Callable


def print_measured(
  step: Callable[[], object], warm_up: int, count: int, imports: float = 0.0
) -> None:
  """Prints JSON: medians of "wall" and "cpu" in seconds, and the process' peak "memory" in GB.

  Args:
    step: what is measured.
    warm_up: how many calls go before, for tracing and allocating.
    count: how many calls are measured.
    imports: GB that the process held before it built anything; "beyond" is the peak less these.
  """
  walls, cpus = [], []
  for index in range(warm_up + count):
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    if index >= warm_up:
      walls.append(time.perf_counter() - wall)
      cpus.append(time.process_time() - cpu)
  peak = peak_memory()
  times = {"wall": statistics.median(walls), "cpu": statistics.median(cpus)}
  print(json.dumps(times | {"memory": peak, "beyond": peak - imports}))


def peak_memory() -> float:
  """The most that this process has held so far, in GB."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
