"""The reader is a pure function of (seed, pipeline, step), and sees every record once an epoch."""

import itertools
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from official.cli.errors import UserError
from official.core import config_definitions as cfg
from official.training.input_reader import ResumableInputReader

SHARDS = (5, 3, 6, 0, 4)
TOTAL = sum(SHARDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """Records 0 to 17 as text, in shards of unequal sizes."""
  path = tmp_path_factory.mktemp("records")
  numbers = iter(range(TOTAL))
  for index, count in enumerate(SHARDS):
    write(
      path / f"train-{index:05d}-of-{len(SHARDS):05d}.tfrecord", itertools.islice(numbers, count)
    )
  return path


def write(path: pathlib.Path, numbers):
  with tf.io.TFRecordWriter(str(path)) as writer:
    for number in numbers:
      writer.write(str(number).encode())


def decode(record):
  return {"number": tf.strings.to_number(record, tf.int64)}


def shift_groups(dataset):
  """A sampler that depends on the whole group and on the seeds."""

  def mix(group):
    noise = tf.random.stateless_uniform([3], group["seed"][0], 0, 1000, tf.int64)
    return {**group, "sum": tf.repeat(tf.reduce_sum(group["number"]), 3) + noise}

  return dataset.batch(3, drop_remainder=True).map(mix).unbatch()


def reader(
  folder, start_step=0, files="train-*.tfrecord", sample_fn=None, decoder_fn=decode, **options
):
  options = {
    "is_training": True,
    "global_batch_size": 4,
    "shuffle_buffer_size": 7,
    "seed": 1,
    **options,
  }
  params = cfg.DataConfig(input_path=f"{folder}/{files}", **options)
  return ResumableInputReader(
    params, decoder_fn=decoder_fn, parser_fn=None, padding={"number": np.int64(-1)},
    sample_fn=sample_fn, group_size=3 if sample_fn else 1, start_step=start_step,
  )  # fmt: skip


def context(pipelines, index, replicas=None):
  return tf.distribute.InputContext(pipelines, index, replicas or pipelines)


def take(dataset, batches):
  return list(dataset.take(batches).as_numpy_iterator())


def numbers(dataset, count):
  batches = take(dataset, -(-count // next(iter(dataset))["number"].shape[0]))
  return np.concatenate([batch["number"] for batch in batches])[:count].tolist()


@pytest.mark.parametrize("cache", [False, True])
def test_every_epoch_has_every_record_once_in_another_order(folder, cache):
  order = numbers(reader(folder, cache=cache).read(), 3 * TOTAL)
  epochs = [order[start : start + TOTAL] for start in range(0, 3 * TOTAL, TOTAL)]
  for epoch in epochs:
    assert sorted(epoch) == list(range(TOTAL))
  assert len(set(map(tuple, epochs))) == 3
  assert epochs[0] != sorted(epochs[0])


def test_files_come_in_another_order_each_epoch(folder):
  dataset = reader(folder, shuffle_buffer_size=1, cycle_length=1).read()
  order = numbers(dataset, 4 * TOTAL)
  assert len({order[start] for start in range(0, 4 * TOTAL, TOTAL)}) > 1


@pytest.mark.parametrize("lengths", [(15, 3), (3, 3, 3, 3, 2, 2, 2)])
def test_pipelines_share_out_each_epoch(folder, lengths):
  """Two share files, seven share records."""
  count, epochs = len(lengths), [[], [], []]
  for index, length in enumerate(lengths):
    inputs = reader(folder, global_batch_size=count).read(context(count, index))
    order = iter(numbers(inputs, 3 * length))
    for epoch in epochs:
      epoch += itertools.islice(order, length)
  for epoch in epochs:
    assert sorted(epoch) == list(range(TOTAL))


def test_order_and_seeds_follow_from_the_seed_alone(folder):
  tf.random.set_seed(5)
  first = take(reader(folder).read(), 12)
  tf.random.set_seed(6)
  again = take(reader(folder).read(), 12)
  assert_equal(first, again)
  other = take(reader(folder, seed=2).read(), 12)
  assert not np.array_equal(first[0]["number"], other[0]["number"])
  seeds = np.concatenate([batch["seed"] for batch in first + other])
  assert len(np.unique(seeds, axis=0)) == len(seeds)
  assert seeds[:48, 1].tolist() == list(range(48))


def test_pipelines_draw_different_seeds(folder):
  seeds = [
    take(reader(folder, sharding=False).read(context(2, index)), 1)[0]["seed"] for index in range(2)
  ]
  assert not np.array_equal(seeds[0][:, 0], seeds[1][:, 0])


@pytest.mark.parametrize("step", [1, 5, 14])
@pytest.mark.parametrize("pipelines", [1, 2, 7])
@pytest.mark.parametrize("cache", [False, True])
def test_a_run_taken_up_goes_on_bit_for_bit(folder, step, pipelines, cache):
  options = {"sample_fn": shift_groups, "cache": cache, "global_batch_size": 4 * pipelines}
  for index in range(min(pipelines, 2)):
    where = context(pipelines, index)
    whole = take(reader(folder, **options).read(where), step + 6)
    resumed = take(reader(folder, start_step=step, **options).read(where), 6)
    assert_equal(whole[step:], resumed)


def test_a_step_is_a_batch_for_every_replica_of_the_pipeline(folder):
  where = context(1, 0, replicas=2)
  whole = take(reader(folder).read(where), 10)
  resumed = take(reader(folder, start_step=3).read(where), 4)
  assert whole[0]["number"].shape == (2,)
  assert_equal(whole[6:], resumed)


def test_what_is_skipped_is_not_decoded(tmp_path):
  total, start = 400, 200
  write(tmp_path / "a.tfrecord", range(total))
  decoded = []

  def watch(record):
    tf.numpy_function(decoded.append, [record], [])
    return decode(record)

  options = {"files": "a.tfrecord", "global_batch_size": 1, "shuffle_buffer_size": total}
  order = numbers(reader(tmp_path, **options).read(), total)
  take(reader(tmp_path, start, decoder_fn=watch, **options).read(), 1)
  # Several records are decoded at once, in any order: the first is one of those after the start.
  assert int(decoded[0]) in order[start:]


def test_cached_records_are_read_once(tmp_path):
  path = tmp_path / "a.tfrecord"
  write(path, range(6))
  inputs = iter(reader(tmp_path, files="a.tfrecord", cache=True, global_batch_size=6).read())
  next(inputs)
  path.unlink()
  for _ in range(20):
    assert sorted(next(inputs)["number"].numpy()) == list(range(6))


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize(("pipelines", "replicas"), [(1, 1), (1, 2), (2, 2), (7, 7)])
def test_evaluation_fills_up_equally_many_batches(folder, pipelines, replicas, cache):
  options = {"is_training": False, "global_batch_size": 4 * replicas, "cache": cache}
  counts, seen = [], []
  for index in range(pipelines):
    batches = take(reader(folder, **options).read(context(pipelines, index, replicas)), -1)
    assert all(batch["number"].shape == (4,) for batch in batches)
    counts.append(len(batches))
    for batch in batches:
      assert (batch["present"] == (batch["number"] >= 0)).all()
      seen += batch["number"][batch["present"]].tolist()
  assert sorted(seen) == list(range(TOTAL))
  assert len(set(counts)) == 1
  assert counts[0] % (replicas // pipelines) == 0


def test_evaluation_keeps_the_order_of_the_file(tmp_path):
  write(tmp_path / "a.tfrecord", range(9))
  inputs = reader(tmp_path, files="a.tfrecord", is_training=False).read()
  assert [batch["number"].tolist() for batch in take(inputs, -1)] == [
    [0, 1, 2, 3], [4, 5, 6, 7], [8, -1, -1, -1],
  ]  # fmt: skip


def test_the_sidecar_is_believed_if_it_knows_the_shards(tmp_path):
  for index in range(2):
    write(tmp_path / f"a-0000{index}-of-00002.tfrecord", range(4))
  for counts, expected in (([1, 2], 3), ([9, 9, 9], 8)):
    (tmp_path / "a.json").write_text(json.dumps({"examples": counts}))
    inputs = reader(tmp_path, files="a-*.tfrecord", is_training=False, global_batch_size=1).read()
    assert len(take(inputs, -1)) == expected


def test_tfdata_service_deals_out_work(folder):
  service = tf.data.experimental.service
  dispatcher = service.DispatchServer()
  address = dispatcher.target.split("://")[1]
  worker = service.WorkerServer(service.WorkerConfig(dispatcher_address=address))
  inputs = reader(
    folder, start_step=3, enable_tf_data_service=True, tf_data_service_address=dispatcher.target,
    tf_data_service_job_name="job",
  ).read(context(1, 0))  # fmt: skip
  order = numbers(inputs, TOTAL)
  assert sorted(order) == list(range(TOTAL))
  del worker, dispatcher


@pytest.mark.parametrize(
  ("options", "words"),
  [
    ({"input_path": ""}, "neither"),
    ({"tfds_name": "coco/2017"}, "both"),
    ({"input_path": "", "tfds_name": "coco/2017"}, "tfds_split"),
    ({"input_path": "{}/nothing-*"}, "does not match"),
    ({"input_path": "{}/nothing"}, "no file"),
    ({"input_path": "{}/train-00003-*"}, "no records"),
    ({"tfds_as_supervised": True}, "tfds_as_supervised"),
    ({"global_batch_size": 0}, "global_batch_size"),
    ({"global_batch_size": 5}, "2 replicas"),
    ({"input_path": "{}/train-00001-*"}, "2 input pipelines"),
  ],
)
def test_mistakes_are_told_in_a_line(folder, options, words):
  options = {"input_path": "{}/train-*", "global_batch_size": 4, "is_training": True, **options}
  options["input_path"] = options["input_path"].format(folder)
  pipelines = 4 if words == "2 input pipelines" else 2
  with pytest.raises(UserError, match=words.replace("2 input", f"{pipelines} input")) as error:
    ResumableInputReader(
      cfg.DataConfig(**options), decoder_fn=decode, parser_fn=None, padding={}
    ).read(context(pipelines, 0))
  assert "\n" not in str(error.value)


def assert_equal(ours, theirs):
  assert len(ours) == len(theirs) > 0
  for left, right in zip(ours, theirs, strict=True):
    tf.nest.map_structure(np.testing.assert_array_equal, left, right)
