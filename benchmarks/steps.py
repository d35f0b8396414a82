"""A step's cost, measured in a process that does nothing else."""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence


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
  results = [_measured(step, imports) for _ in range(warm_up + count)]
  times = {
    key: statistics.median(result[key] for result in results[warm_up:]) for key in ("wall", "cpu")
  }
  print(json.dumps(results[-1] | times))


def measure_on_request(step: Callable[[], object], imports: float) -> None:
  """Prints JSON as `print_measured` does, of one call for each line that comes in."""
  for _ in sys.stdin:
    print(json.dumps(_measured(step, imports)), flush=True)


def in_turn(
  commands: Mapping[str, Sequence[str]], warm_up: int, count: int
) -> dict[str, list[dict[str, float]]]:
  """Measurements of processes that call `measure_on_request`, call by call in turn.

  For machines with other work: what slows one side down for seconds slows the others down too. A
  side that waits takes no CPU time.

  Args:
    commands: starts each side.
    warm_up: how many calls of each go before.
    count: how many calls of each are measured.
  """
  pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
  processes = {side: subprocess.Popen(command, **pipes) for side, command in commands.items()}
  try:
    rounds = [
      {side: _ask(process) for side, process in processes.items()} for _ in range(warm_up + count)
    ]
  finally:
    for process in processes.values():
      process.stdin.close()
      process.wait()
  return {side: [results[side] for results in rounds[warm_up:]] for side in commands}


def _ask(process: subprocess.Popen[str]) -> dict[str, float]:
  process.stdin.write("\n")
  process.stdin.flush()
  for line in process.stdout:
    if line.startswith("{"):  # Originals print what they build.
      return json.loads(line)
  raise RuntimeError(f"{' '.join(process.args)} ended with code {process.wait()}")


def _measured(step: Callable[[], object], imports: float) -> dict[str, float]:
  wall, cpu = time.perf_counter(), time.process_time()
  step()
  times = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
  peak = peak_memory()
  return times | {"memory": peak, "beyond": peak - imports}


def peak_memory() -> float:
  """The most that this process has held so far, in GB."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
