import os
import signal

import pytest

from official.cli.errors import UserError
from official.cli.progress import Progress
from official.datasets.pool import run_jobs


class Counting(Progress):
  """A bar that remembers what it was advanced by."""

  done = 0

  def advance(self, count=1, note=""):
    super().advance(count, note)
    self.done += count


def count(job, tick):
  for _ in range(job):
    tick()
  return job * 10


def run(work, jobs, workers):
  with Counting("testing", sum(map(abs, jobs)), "units") as progress:
    return sorted(run_jobs(work, jobs, workers, progress)), progress.done


@pytest.mark.parametrize("workers", [1, 2])
def test_results_and_progress(workers):
  assert run(count, [3, 1, 2], workers) == ([10, 20, 30], 6)


def fail_or_go_on_for_ever(job, tick):
  if job < 0:
    raise UserError("bad job")
  while True:
    tick()


def test_a_failure_stops_the_other_jobs():
  with pytest.raises(UserError, match="bad job"):
    run(fail_or_go_on_for_ever, [1, -1], 2)


def die(job, tick):
  os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_told_in_a_line():
  with pytest.raises(UserError, match="a worker process was killed"):
    run(die, [1, 1], 2)
