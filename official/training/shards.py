"""The record files of a data set: how many records each holds, and which pipeline reads which."""

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf
import tensorflow_datasets as tfds

from official.cli.errors import UserError
from official.core import input_reader as upstream

_SHARD_NAME = re.compile(r"(?P<prefix>.*)-(?P<index>\d{5})-of-(?P<total>\d{5})\.tfrecord$")


class Shard(NamedTuple):
  """Records `skip` to `skip + take` of the file `path`."""

  path: str
  skip: int
  take: int


class Part(NamedTuple):
  """What one input pipeline reads: of `shards` every `stride`-th record from `offset` on."""

  shards: Sequence[Shard]
  stride: int
  offset: int

  @property
  def records(self) -> int:
    """How many records the pipeline sees in an epoch."""
    return len(range(self.offset, sum(shard.take for shard in self.shards), self.stride))


def deal(shards: Sequence[Shard], pipelines: int) -> list[Part]:
  """Deals out files to input pipelines, or records where there are fewer files than pipelines."""
  if len(shards) < pipelines:
    return [Part(shards, pipelines, offset) for offset in range(pipelines)]
  return [Part(shards[index::pipelines], 1, 0) for index in range(pipelines)]


def from_files(input_path: str | Sequence[str]) -> list[Shard]:
  """The TFRecord files that match.

  Args:
    input_path: path, pattern, several of them separated by commas, or a list of such.

  Raises:
    UserError: nothing matches, or there are no records.
  """
  try:
    paths = sorted(upstream.match_files(input_path))
  except ValueError as error:
    raise UserError(f"input_path: {error} (tools/prepare_data.py writes records)") from error
  for path in paths:
    if not tf.io.gfile.exists(path):
      raise UserError(f"input_path: no file {path} (tools/prepare_data.py writes records)")
  return _not_empty([Shard(path, 0, _count(path)) for path in paths], f"input_path: {input_path}")


def from_tfds(builder: tfds.core.DatasetBuilder, split: str) -> list[Shard]:
  """The record files of a split, such as "train" or "train[:10%]", of a prepared TFDS builder.

  Raises:
    UserError: the split is unknown, empty, or not stored as TFRecord.
  """
  try:
    instructions = builder.info.splits[split].file_instructions
  except (KeyError, ValueError) as error:
    known = ", ".join(builder.info.splits)
    raise UserError(f"tfds_split: {builder.name} has no split {split!r}, but {known}") from error
  stored_as = builder.info.file_format
  if stored_as is not tfds.core.file_adapters.FileFormat.TFRECORD:
    raise UserError(f"tfds_name: {builder.name} is stored as {stored_as}; prepare it as tfrecord")
  shards = [Shard(str(file.filename), file.skip, file.take) for file in instructions]
  return _not_empty(shards, f"tfds_split: {split} of {builder.name}")


def _not_empty(shards: list[Shard], source: str) -> list[Shard]:
  if not any(shard.take for shard in shards):
    raise UserError(f"{source} holds no records")
  return shards


def _count(path: str) -> int:
  """Records in a file: from the sidecar PREFIX.json where there is one, else by reading headers."""
  name = _SHARD_NAME.match(path)
  if name and tf.io.gfile.exists(sidecar := f"{name['prefix']}.json"):
    with tf.io.gfile.GFile(sidecar) as file:
      counts = json.load(file)["examples"]
    if len(counts) == int(name["total"]):
      return counts[int(name["index"])]
  from official.datasets import records

  return records.count_records(path)
