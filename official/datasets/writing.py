"""Annotated images → sharded TFRecords: in parallel, atomically, resumably.

PREFIX-00000-of-0000N.tfrecord holds items 0, N, 2N, ...; PREFIX.json, written last, is the
sidecar; PREFIX.manifest.json says of which inputs each finished shard was made, so that a run after
a broken one keeps what still holds.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from official.cli.errors import UserError
from official.cli.files import atomic_file, make_directory, write_file
from official.cli.progress import Progress
from official.datasets import pool
from official.datasets.annotations import Category
from official.datasets.examples import Example
from official.datasets.problems import Problems
from official.datasets.records import Sidecar, save_sidecar, shard_path, sidecar_path
from official.datasets.tfrecord import frame

_VERSION = 2  # Of what is written for the same input; a new one makes old shards stale.


@dataclass(frozen=True)
class Output:
  """Where to write, and how.

  Attributes:
    prefix: of the files to write.
    shards: number of shards; at most the number of images.
    workers: processes.
    stop: whether the first problem of the input stops the work; else it is left out and listed.
  """

  prefix: Path
  shards: int
  workers: int = 1
  stop: bool = True

  def __post_init__(self) -> None:
    if self.shards < 1 or self.workers < 1:
      raise UserError("--shards and --workers must be at least 1")


class Maker(Protocol):
  """Makes examples of the items of a data set; it is pickled and sent to other processes."""

  def files(self, item: Any) -> Sequence[Path]:
    """The files that the item's example is made of."""

  def make(self, item: Any, problems: Problems) -> Example | None:
    """The item's example; None, and a problem reported, where the item is of no use."""


@dataclass(frozen=True)
class _Job:
  path: Path
  items: Sequence[Any]
  maker: Maker
  stop: bool
  fingerprint: str


@dataclass(frozen=True)
class _Shard:
  """What the manifest says of a finished shard."""

  name: str
  fingerprint: str
  size: int
  examples: int
  boxes: int
  skipped: list[str]


def write(
  items: Sequence[Any],
  maker: Maker,
  categories: Sequence[Category],
  options: Sequence[Any],
  output: Output,
  problems: Sequence[str] = (),
) -> Sidecar:
  """Writes the shards and their sidecar, and returns what was written.

  Args:
    items: what examples are made of, in order.
    maker: makes them.
    categories: the table, in the order of contiguous ids.
    options: what the examples depend on besides the maker's files; JSON values.
    output: where to.
    problems: what was left out before.

  Raises:
    UserError: for the first problem of the input where `output.stop`, or when the output cannot be
      written. Finished shards stay, half ones do not.
  """
  _check_output(output, len(items))
  jobs = _make_jobs(items, maker, options, output)
  finished = _kept_shards(output.prefix, jobs)
  if len(finished) < len(jobs):
    # Beside shards of two inputs a sidecar would be a lie.
    sidecar_path(output.prefix).unlink(missing_ok=True)
    _write_shards(output, jobs, finished)
  shards = [finished[job.path.name] for job in jobs]
  sidecar = Sidecar(
    categories=tuple(categories),
    examples=tuple(shard.examples for shard in shards),
    boxes=sum(shard.boxes for shard in shards),
    skipped=tuple([*problems, *(line for shard in shards for line in shard.skipped)]),
  )
  save_sidecar(output.prefix, sidecar)
  return sidecar


def _check_output(output: Output, items: int) -> None:
  prefix = output.prefix
  if items < output.shards:
    raise UserError(f"--shards {output.shards}, but there are only {items} usable images")
  make_directory(prefix.parent)
  mine = {shard_path(prefix, i, output.shards).name for i in range(output.shards)}
  for path in sorted(prefix.parent.glob(f"{prefix.name}-[0-9]*-of-[0-9]*.tfrecord")):
    if path.name not in mine:
      raise UserError(
        f"{path} is of another number of shards and would be read with the new ones; "
        "remove it or choose another --output"
      )


def _make_jobs(
  items: Sequence[Any], maker: Maker, options: Sequence[Any], output: Output
) -> list[_Job]:
  options = [_VERSION, *options, output.shards]
  jobs = []
  for index in range(output.shards):
    path = shard_path(output.prefix, index, output.shards)
    mine = items[index :: output.shards]
    jobs.append(_Job(path, mine, maker, output.stop, _fingerprint(options, mine, maker)))
  return jobs


def _fingerprint(options: Sequence[Any], items: Sequence[Any], maker: Maker) -> str:
  """A digest of all that a shard depends on; files count by name, size and time of change."""
  digest = hashlib.sha256(json.dumps(options).encode())
  for item in items:
    for path in maker.files(item):
      digest.update(f"{path.absolute()}\0{_state(path)}\0".encode())
  return digest.hexdigest()


def _state(path: Path) -> str:
  try:
    state = os.stat(path)
  except OSError:
    return "unreadable"  # Whoever reads it says so, with the image's id.
  return f"{state.st_size} {state.st_mtime_ns}"


def _manifest_path(prefix: Path) -> Path:
  return prefix.with_name(f"{prefix.name}.manifest.json")


def _kept_shards(prefix: Path, jobs: list[_Job]) -> dict[str, _Shard]:
  """Shards of an earlier run that this one would write again, byte for byte."""
  try:
    rows = json.loads(_manifest_path(prefix).read_bytes())["shards"]
    recorded = {row["name"]: _Shard(**row) for row in rows}
  except (OSError, ValueError, KeyError, TypeError):
    return {}  # Without a manifest nothing is known, and everything is written.
  kept = {}
  for job in jobs:
    shard = recorded.get(job.path.name)
    if (
      shard
      and shard.fingerprint == job.fingerprint
      and _state(job.path).startswith(f"{shard.size} ")
      and not (job.stop and shard.skipped)
    ):
      kept[shard.name] = shard
  return kept


def _write_shards(output: Output, jobs: list[_Job], finished: dict[str, _Shard]) -> None:
  """Writes the missing shards and adds them to `finished`, each noted in the manifest."""
  total = sum(len(job.items) for job in jobs)
  missing = [job for job in jobs if job.path.name not in finished]
  start = total - sum(len(job.items) for job in missing)
  _save_manifest(output.prefix, finished)  # Forgets the shards that are about to change.
  with Progress("converting", total, "images", start) as progress:
    for shard in pool.run_jobs(_write_shard, missing, output.workers, progress):
      finished[shard.name] = shard
      _save_manifest(output.prefix, finished)


def _save_manifest(prefix: Path, finished: dict[str, _Shard]) -> None:
  rows = [asdict(finished[name]) for name in sorted(finished)]
  write_file(_manifest_path(prefix), json.dumps({"shards": rows}).encode())


def _write_shard(job: _Job, tick: pool.Tick) -> _Shard:
  problems = Problems(job.stop)
  examples = boxes = 0
  with atomic_file(job.path) as file:
    for item in job.items:
      example = job.maker.make(item, problems)
      if example:
        file.write(frame(example.data))
        examples, boxes = examples + 1, boxes + example.boxes
      tick()
    size = file.tell()
  return _Shard(job.path.name, job.fingerprint, size, examples, boxes, problems.found)
