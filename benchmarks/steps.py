"""A step's cost, measured in a process that does nothing else."""

import json
import resource
import statistics
import time
from collections.abc import Callable


def print_measured(step: Callable[[], object], warm_up: int, count: int) -> None:
  """Prints JSON: medians of "wall" and "cpu" in seconds, and the process' peak "memory" in GB.

  Args:
    step: what is measured.
    warm_up: how many calls go before, for tracing and allocating.
    count: how many calls are measured.
  """
  walls, cpus = [], []
  for index in range(warm_up + count):
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    if index >= warm_up:
      walls.append(time.perf_counter() - wall)
      cpus.append(time.process_time() - cpu)
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
  print(
    json.dumps({"wall": statistics.median(walls), "cpu": statistics.median(cpus), "memory": peak})
  )
