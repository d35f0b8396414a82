"""Jobs spread over processes, with progress, prompt stopping and no orphans."""

import concurrent.futures
import concurrent.futures.process
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from official.cli.errors import UserError
from official.cli.progress import Progress

Job = TypeVar("Job")
Result = TypeVar("Result")
Tick = Callable[[], None]

_POLL_SECONDS = 0.1

# Shared with the parent by `_start_worker`: units done so far by all workers, and a wish to stop.
_done: Any = None
_stop: Any = None


class Stopped(Exception):
  """Raised in a job when another job has failed and the work is to end."""


def run_jobs(
  work: Callable[[Job, Tick], Result], jobs: Sequence[Job], workers: int, progress: Progress
) -> Iterator[Result]:
  """Yields `work(job, tick)` for every job, in the order in which they finish.

  Args:
    work: a module-level function; it calls `tick()` once for each unit of `progress`.
    jobs: picklable arguments.
    workers: processes; with 1 everything runs in this one, in order.
    progress: advanced by the ticks of all workers.

  Raises:
    Exception: the first that a job raises; the other jobs end at their next tick.
    UserError: when a worker process is killed.
  """
  if min(workers, len(jobs)) <= 1:
    yield from (work(job, progress.advance) for job in jobs)
  else:
    yield from _run_in_processes(work, jobs, min(workers, len(jobs)), progress)


def _run_in_processes(
  work: Callable[[Job, Tick], Result], jobs: Sequence[Job], workers: int, progress: Progress
) -> Iterator[Result]:
  # Not fork: the caller may run TensorFlow's or the progress bar's threads.
  context = multiprocessing.get_context("spawn")
  done, stop = context.Value("q", 0), context.Event()
  with concurrent.futures.ProcessPoolExecutor(
    workers, context, initializer=_start_worker, initargs=(done, stop)
  ) as executor:
    pending = {executor.submit(_call, work, job) for job in jobs}
    shown = 0
    try:
      while pending:
        finished, pending = concurrent.futures.wait(
          pending, _POLL_SECONDS, concurrent.futures.FIRST_COMPLETED
        )
        now = done.value  # Read once: workers go on counting.
        progress.advance(now - shown)
        shown = now
        for future in finished:
          yield future.result()
    except concurrent.futures.process.BrokenProcessPool as error:
      raise UserError(
        "a worker process was killed, perhaps for lack of memory: use fewer --workers"
      ) from error
    finally:
      stop.set()
      executor.shutdown(cancel_futures=True)


def _call(work: Callable[[Job, Tick], Result], job: Job) -> Result:
  return work(job, _tick)


def _tick() -> None:
  with _done.get_lock():
    _done.value += 1
  if _stop.is_set():
    raise Stopped


def _start_worker(done: Any, stop: Any) -> None:
  global _done, _stop
  _done, _stop = done, stop
  signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent ends the work after Ctrl-C.
  threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
  # A killed parent cannot say so, and its workers would go on writing.
  parent = multiprocessing.parent_process()
  if parent:
    parent.join()
    os._exit(1)
