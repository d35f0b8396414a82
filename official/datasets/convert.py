"""COCO-style annotations → sharded TFRecords: in parallel, atomically, resumably.

PREFIX-00000-of-0000N.tfrecord holds images 0, N, 2N, ...; PREFIX.json, written last, is the
sidecar; PREFIX.manifest.json says of which inputs each finished shard was made, so that a run after
a broken one keeps what still holds.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from official.cli.errors import UserError
from official.cli.files import atomic_file, make_directory, write_file
from official.cli.progress import Progress
from official.datasets import coco, pool
from official.datasets.annotations import Dataset, Image
from official.datasets.examples import Source, make_example
from official.datasets.problems import Problems
from official.datasets.records import Sidecar, save_sidecar, shard_path, sidecar_path
from official.datasets.tfrecord import frame

_VERSION = 1  # Of what is written for the same input; a new one makes old shards stale.


@dataclass(frozen=True)
class Conversion:
  """What to convert, and how.

  Attributes:
    images: directory of the images.
    output: prefix of the files to write.
    shards: number of shards; at most the number of images.
    instances: instances JSON file; or `panoptic`, or both.
    panoptic: panoptic JSON file.
    panoptic_masks: directory of the panoptic PNGs; given with `panoptic`.
    masks: whether to write the objects' masks.
    workers: processes.
    stop: whether the first problem of the input stops the work; else it is left out and listed.
  """

  images: Path
  output: Path
  shards: int
  instances: Path | None = None
  panoptic: Path | None = None
  panoptic_masks: Path | None = None
  masks: bool = False
  workers: int = 1
  stop: bool = True

  def __post_init__(self) -> None:
    if (self.panoptic is None) != (self.panoptic_masks is None):
      raise UserError("--panoptic and --panoptic-masks belong together: give both or none")
    if self.shards < 1 or self.workers < 1:
      raise UserError("--shards and --workers must be at least 1")


@dataclass(frozen=True)
class _Job:
  path: Path
  images: tuple[Image, ...]
  source: Source
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


def convert(conversion: Conversion) -> Sidecar:
  """Converts, and returns what was written.

  Raises:
    UserError: when the input is of no use, for its first problem where `conversion.stop`, or
      when the output cannot be written. Finished shards stay, half ones do not.
  """
  problems = Problems(conversion.stop)
  dataset = coco.load(
    conversion.instances, conversion.panoptic, problems, segmentations=conversion.masks
  )
  _check_output(conversion, len(dataset.images))
  jobs = _make_jobs(conversion, dataset)
  finished = _kept_shards(conversion.output, jobs)
  if len(finished) < len(jobs):
    # Beside shards of two inputs a sidecar would be a lie.
    sidecar_path(conversion.output).unlink(missing_ok=True)
    _write_shards(conversion, jobs, finished)
  shards = [finished[job.path.name] for job in jobs]
  sidecar = Sidecar(
    categories=dataset.categories,
    examples=tuple(shard.examples for shard in shards),
    boxes=sum(shard.boxes for shard in shards),
    skipped=tuple(problems.found + [line for shard in shards for line in shard.skipped]),
  )
  save_sidecar(conversion.output, sidecar)
  return sidecar


def _check_output(conversion: Conversion, images: int) -> None:
  prefix = conversion.output
  if images < conversion.shards:
    raise UserError(f"--shards {conversion.shards}, but there are only {images} usable images")
  make_directory(prefix.parent)
  mine = {shard_path(prefix, i, conversion.shards).name for i in range(conversion.shards)}
  for path in sorted(prefix.parent.glob(f"{prefix.name}-[0-9]*-of-[0-9]*.tfrecord")):
    if path.name not in mine:
      raise UserError(
        f"{path} is of another number of shards and would be read with the new ones; "
        "remove it or choose another --output"
      )


def _make_jobs(conversion: Conversion, dataset: Dataset) -> list[_Job]:
  source = Source(
    images=conversion.images,
    panoptic_masks=conversion.panoptic_masks,
    masks=conversion.masks,
    categories={category.id: category for category in dataset.categories},
  )
  annotations = [
    hashlib.sha256(path.read_bytes()).hexdigest() if path else None
    for path in (conversion.instances, conversion.panoptic)
  ]
  options = [_VERSION, annotations, conversion.shards, conversion.masks]
  jobs = []
  for index in range(conversion.shards):
    path = shard_path(conversion.output, index, conversion.shards)
    images = dataset.images[index :: conversion.shards]
    fingerprint = _fingerprint(options, images, source)
    jobs.append(_Job(path, images, source, conversion.stop, fingerprint))
  return jobs


def _fingerprint(options: list[object], images: Sequence[Image], source: Source) -> str:
  """A digest of all that a shard depends on; files count by name, size and time of change."""
  digest = hashlib.sha256(json.dumps(options).encode())
  for image in images:
    paths = [source.images / image.file_name]
    if image.panoptic and source.panoptic_masks:
      paths.append(source.panoptic_masks / image.panoptic.file_name)
    for path in paths:
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


def _write_shards(conversion: Conversion, jobs: list[_Job], finished: dict[str, _Shard]) -> None:
  """Writes the missing shards and adds them to `finished`, each noted in the manifest."""
  total = sum(len(job.images) for job in jobs)
  missing = [job for job in jobs if job.path.name not in finished]
  start = total - sum(len(job.images) for job in missing)
  _save_manifest(conversion.output, finished)  # Forgets the shards that are about to change.
  with Progress("converting", total, "images", start) as progress:
    for shard in pool.run_jobs(_write_shard, missing, conversion.workers, progress):
      finished[shard.name] = shard
      _save_manifest(conversion.output, finished)


def _save_manifest(prefix: Path, finished: dict[str, _Shard]) -> None:
  rows = [asdict(finished[name]) for name in sorted(finished)]
  write_file(_manifest_path(prefix), json.dumps({"shards": rows}).encode())


def _write_shard(job: _Job, tick: pool.Tick) -> _Shard:
  problems = Problems(job.stop)
  examples = boxes = 0
  with atomic_file(job.path) as file:
    for image in job.images:
      example = make_example(image, job.source, problems)
      if example:
        file.write(frame(example.data))
        examples, boxes = examples + 1, boxes + example.boxes
      tick()
    size = file.tell()
  return _Shard(job.path.name, job.fingerprint, size, examples, boxes, problems.found)
