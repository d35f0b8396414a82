"""Input that can be taken up again at any step, without saved iterator state.

TFMG's input reader, made a pure function of (seed, input pipeline, step):

  epoch e     the files in an order drawn from (seed, e), interleaved; the records shuffled through
              a buffer with a seed drawn from (seed, pipeline, e); every record once
  stream      epoch 0, epoch 1, ...; the elements are numbered from 0
  start       whole epochs are skipped by arithmetic on record counts, the rest of an epoch by
              skipping serialized records; nothing that is skipped is decoded
  randomness  every example carries "seed", [2] int64: one number for seed and pipeline, and its
              own number; later random operations draw from that alone

Deviations from upstream:
  * Each pipeline keeps its files from epoch to epoch (their order changes). Where there are fewer
    files than pipelines, records are dealt out. Together they see each record once an epoch.
  * `cache` keeps the serialized records in memory, not parsed images: augmentation stays random.
  * `cycle_length` defaults to at most 16 files, not to a number that depends on the machine.
  * Evaluation yields whole batches, filled up with a padding example; nothing is dropped, and all
    pipelines yield equally many, so that replicas stay in step.
  * With the tf.data service, which deals out work as it likes, each of its workers draws a seed of
    its own, and the start step is without effect.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from official.cli.errors import UserError
from official.core import config_definitions as cfg
from official.core import input_reader as upstream
from official.training import shards as shards_lib

_OPEN_FILES = 16
_SEED_STRIDE = 2**20  # More than there are pipelines: no two (seed, pipeline) share a number.

Context = tf.distribute.InputContext
Example = dict[str, tf.Tensor]


class ResumableInputReader(upstream.InputReader):
  """Reads, decodes, samples, parses and batches, from any step on.

  Decoded examples carry, besides the decoder's keys, "seed" in training (see above) and "present"
  in evaluation: () bool, False for padding.

  Args:
    params: TFMG's options; `input_path` or `tfds_name` names one data set.
    decoder_fn: a serialized record, or a dictionary of TFDS features (see
      `tfds_skip_decoding_feature`), to a dictionary of tensors.
    parser_fn: one example to what is batched, of static shapes; None where it is that already.
    padding: the decoded example that fills up the last batches of an evaluation.
    sample_fn: a dataset of decoded examples to another one, in training. It makes of each
      `group_size` consecutive examples as many outputs, which depend on nothing else.
    group_size: how many examples `sample_fn` mixes with one another.
    start_step: how many steps of training are done already.

  Raises:
    UserError: options contradict each other, or there is no such data.
  """

  def __init__(
    self,
    params: cfg.DataConfig,
    *,
    decoder_fn: Callable[[Any], Example],
    parser_fn: Callable[[Example], Any] | None,
    padding: Mapping[str, Any],
    sample_fn: Callable[[tf.data.Dataset], tf.data.Dataset] | None = None,
    group_size: int = 1,
    start_step: int = 0,
  ) -> None:
    _check(params)
    super().__init__(params, sample_fn=sample_fn, parser_fn=parser_fn)
    self._shards, deserialize = _open(params)
    self._decode = lambda record: decoder_fn(deserialize(record))
    self._stream_seed = params.seed or 0
    self._padding = padding
    self._group_size = group_size
    self._start_step = 0 if self._enable_tf_data_service else start_step

  def get_files(self, input_path: Any) -> None:
    """Nothing: `official.training.shards` finds and counts the files."""

  def _read_data_source(
    self,
    matched_files: None,
    dataset_fn: Callable[..., tf.data.Dataset],
    input_context: Context | None = None,
  ) -> tf.data.Dataset:
    """Decoded examples."""
    if self._is_training:
      return self._training_source(dataset_fn, input_context)
    return self._evaluation_source(dataset_fn, input_context)

  def _decode_and_parse_dataset(
    self, dataset: tf.data.Dataset, batch_size: int, input_context: Context | None = None
  ) -> tf.data.Dataset:
    """Batches, all of the same shape, of sampled and parsed examples."""
    if self._is_training and self._sample_fn:
      # The group in which the run goes on is made whole; what had been used of it is dropped.
      dataset = dataset.apply(self._sample_fn).skip(self._start(input_context) % self._group_size)
    dataset = _map(dataset, self._parser_fn) if self._parser_fn else dataset
    return dataset.batch(_replica_batch(batch_size, input_context), drop_remainder=True)

  def _training_source(
    self, dataset_fn: Callable[..., tf.data.Dataset], context: Context | None
  ) -> tf.data.Dataset:
    part = self._parts(context)[_pipeline(context)]
    start = self._start(context)
    first = start - start % self._group_size if self._sample_fn else start
    epoch, skipped = divmod(first, part.records)
    fixed = self._records(part, dataset_fn).cache() if self._cache else None

    def stream(seed: tf.Tensor) -> tf.data.Dataset:
      key = seed * _SEED_STRIDE + _pipeline(context)

      def read(epoch: tf.Tensor) -> tf.data.Dataset:
        # Only the seeds drawn here count, not the process's global one (0 admits no drawn seed).
        tf.random.set_seed(1)
        files = self._records(part, dataset_fn, _draw(seed, epoch)) if fixed is None else fixed
        return files.shuffle(self._shuffle_buffer_size, seed=_draw(key, epoch))

      records = tf.data.Dataset.range(epoch, tf.int64.max).flat_map(read).skip(skipped)
      return records.enumerate(first).map(lambda number, record: ((key, number), record))

    if self._enable_tf_data_service:
      numbered = tf.data.Dataset.random().take(1).flat_map(lambda seed: stream(seed % 2**31))
    else:
      numbered = stream(tf.constant(self._stream_seed, tf.int64))
    return _map(numbered, lambda seed, record: {**self._decode(record), "seed": tf.stack(seed)})

  def _evaluation_source(
    self, dataset_fn: Callable[..., tf.data.Dataset], context: Context | None
  ) -> tf.data.Dataset:
    parts = self._parts(context)
    part = parts[_pipeline(context)]
    step = _replica_batch(self._global_batch_size, context) * _replicas(context)
    steps = -(-max(each.records for each in parts) // step)
    records = self._records(part, dataset_fn)
    records = records.cache() if self._cache else records
    padding = tf.data.Dataset.from_tensors({**self._padding, "present": False})
    examples = _map(records, lambda record: {**self._decode(record), "present": True})
    return examples.concatenate(padding.repeat(steps * step - part.records))

  def _parts(self, context: Context | None) -> list[shards_lib.Part]:
    """What each input pipeline reads."""
    pipelines = context.num_input_pipelines if context else 1
    if not self._sharding:
      return [shards_lib.Part(self._shards, 1, 0)] * pipelines
    parts = shards_lib.deal(self._shards, pipelines)
    if not all(part.records for part in parts):
      raise UserError(f"{len(self._shards)} files do not give each of {pipelines} input pipelines "
                      "a record; write the data in more shards")  # fmt: skip
    return parts

  def _records(
    self,
    part: shards_lib.Part,
    dataset_fn: Callable[..., tf.data.Dataset],
    seed: tf.Tensor | None = None,
  ) -> tf.data.Dataset:
    """The serialized records of one epoch, the files in an order drawn from `seed`."""
    shards = [shard for shard in part.shards if shard.take]
    paths, skips, takes = zip(*shards, strict=True)
    files = tf.data.Dataset.from_tensor_slices((list(paths), np.int64(skips), np.int64(takes)))
    if seed is not None:
      files = files.shuffle(len(shards), seed=seed)
    records = files.interleave(
      lambda path, skip, take: dataset_fn(path).skip(skip).take(take),
      cycle_length=min(self._cycle_length or _OPEN_FILES, len(shards)),
      block_length=self._block_length,
      num_parallel_calls=tf.data.AUTOTUNE,
      deterministic=True,
    )
    return records.shard(part.stride, part.offset) if part.stride > 1 else records

  def _start(self, context: Context | None) -> int:
    """The number of the first element of this pipeline that is still to be trained on."""
    batch = _replica_batch(self._global_batch_size, context)
    return self._start_step * batch * _replicas(context)


def _check(params: cfg.DataConfig) -> None:
  sources = [source for source in (params.input_path, params.tfds_name) if source]
  if len(sources) != 1:
    raise UserError("give the data either as input_path or as tfds_name, "
                    f"not {'both' if sources else 'neither'}")  # fmt: skip
  if isinstance(sources[0], cfg.base_config.Config):
    raise UserError("input_path and tfds_name name one data set, not a dictionary of them")
  if params.tfds_name and not params.tfds_split:
    raise UserError(f"tfds_name is {params.tfds_name}: say which tfds_split")
  if params.tfds_as_supervised:
    raise UserError("tfds_as_supervised loses the annotations that this task needs; leave it out")
  if params.global_batch_size <= 0:
    raise UserError(f"global_batch_size must be positive, not {params.global_batch_size}")


def _open(params: cfg.DataConfig) -> tuple[list[shards_lib.Shard], Callable[[tf.Tensor], Any]]:
  """The files, and what turns a record into the decoder's input."""
  if params.input_path:
    return shards_lib.from_files(params.input_path), lambda record: record
  builder = tfds.builder(params.tfds_name, data_dir=params.tfds_data_dir or None)
  builder.download_and_prepare()
  skipped = [name.strip() for name in params.tfds_skip_decoding_feature.split(",") if name.strip()]
  decoders = {name: tfds.decode.SkipDecoding() for name in skipped}
  features = builder.info.features
  return (
    shards_lib.from_tfds(builder, params.tfds_split),
    lambda record: features.deserialize_example(record, decoders=decoders),
  )


def _map(dataset: tf.data.Dataset, function: Callable[..., Any]) -> tf.data.Dataset:
  return dataset.map(function, num_parallel_calls=tf.data.AUTOTUNE)


def _draw(key: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
  """A shuffling seed, () int64; apart from the seeds of elements, which are (key, number)."""
  return tf.random.stateless_uniform((), (~key, epoch), None, None, tf.int64)


def _pipeline(context: Context | None) -> int:
  return context.input_pipeline_id if context else 0


def _replicas(context: Context | None) -> int:
  """Replicas that one input pipeline feeds."""
  return context.num_replicas_in_sync // context.num_input_pipelines if context else 1


def _replica_batch(global_batch: int, context: Context | None) -> int:
  replicas = context.num_replicas_in_sync if context else 1
  if global_batch % replicas:
    raise UserError(f"global_batch_size {global_batch} does not divide among {replicas} replicas")
  return global_batch // replicas
