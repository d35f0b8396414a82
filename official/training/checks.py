"""Checks an experiment's settings before TensorFlow is busy: what contradicts, what is missing."""

import os
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from official.cli.errors import UserError, nearest
from official.core import config_definitions as cfg

_STRATEGIES = ("one_device", "mirrored", "multi_worker_mirrored", "tpu")
_PRECISIONS = ("float32", "float16", "bfloat16")


def check(params: cfg.ExperimentConfig, mode: str) -> None:
  """Raises `UserError` for the first setting that cannot work in `mode`."""
  try:
    params.validate()
  except (KeyError, ValueError) as error:
    raise UserError(f"contradictory settings: {error.args[0]}") from error
  _check_runtime(params.runtime)
  _check_trainer(params, mode)
  if params.task.init_checkpoint:
    _check_checkpoint(params.task.init_checkpoint)
  for name, data in _used_data(params, mode):
    _check_data(data, name)


def check_replicas(params: cfg.ExperimentConfig, mode: str, replicas: int) -> None:
  """Raises `UserError` unless each batch in use divides evenly among `replicas`."""
  for name, data in _used_data(params, mode):
    _require(
      data.global_batch_size % replicas == 0,
      f"{name}.global_batch_size: {data.global_batch_size} does not divide among "
      f"{replicas} replicas",
    )


def _used_data(params: cfg.ExperimentConfig, mode: str) -> Iterator[tuple[str, cfg.DataConfig]]:
  if "train" in mode:
    yield "task.train_data", params.task.train_data
  if "eval" in mode:
    yield "task.validation_data", params.task.validation_data


def _check_runtime(runtime: cfg.RuntimeConfig) -> None:
  strategy, gpus = runtime.distribution_strategy, runtime.num_gpus
  _choose("runtime.distribution_strategy", strategy, _STRATEGIES)
  _choose("runtime.mixed_precision_dtype", runtime.mixed_precision_dtype, (*_PRECISIONS, None))
  if strategy == "tpu":
    _require(runtime.tpu is not None, "runtime.distribution_strategy=tpu needs --tpu=NAME")
    return
  _require(not runtime.tpu, f"--tpu needs runtime.distribution_strategy=tpu, not {strategy}")
  found = len(tf.config.list_physical_devices("GPU"))
  _require(
    0 <= gpus <= found, f"runtime.num_gpus: {gpus} asked for, TensorFlow sees {found} on this host"
  )
  _require(
    gpus <= 1 or strategy != "one_device",
    f"runtime.distribution_strategy=one_device contradicts runtime.num_gpus={gpus}; use mirrored",
  )
  if strategy == "multi_worker_mirrored":
    _check_workers(runtime)


def _check_workers(runtime: cfg.RuntimeConfig) -> None:
  if os.environ.get("TF_CONFIG"):
    return
  hosts = (runtime.worker_hosts or "").split(",")
  _require(
    hosts != [""], "multi_worker_mirrored needs runtime.worker_hosts=HOST:PORT,… or TF_CONFIG"
  )
  _require(
    len(hosts) == 1 or 0 <= runtime.task_index < len(hosts),
    f"runtime.task_index: {runtime.task_index} is not one of the {len(hosts)} workers (from 0)",
  )


def _check_trainer(params: cfg.ExperimentConfig, mode: str) -> None:
  trainer = params.trainer
  if "train" in mode:
    positive = ["train_steps", "steps_per_loop", "summary_interval", "checkpoint_interval"]
    positive += ["max_to_keep"] + (["validation_interval"] if mode == "train_and_eval" else [])
    for name in positive:
      value = getattr(trainer, name)
      _require(value > 0, f"trainer.{name}: expected a positive number, got {value}")
    _require(
      trainer.summary_interval % trainer.steps_per_loop == 0,
      f"trainer.summary_interval ({trainer.summary_interval}) is not a multiple of "
      f"trainer.steps_per_loop ({trainer.steps_per_loop})",
    )
    _require(
      trainer.train_tf_function or not trainer.train_tf_while_loop,
      "trainer.train_tf_while_loop needs trainer.train_tf_function",
    )
    _require(
      trainer.recovery_max_trials <= 0,
      "trainer.recovery_max_trials: a run is not taken back by itself; start it again instead",
    )
    _check_optimizer(params)
  if "eval" in mode:
    _check_evaluation(trainer)


def _check_evaluation(trainer: cfg.TrainerConfig) -> None:
  steps = trainer.validation_steps
  _require(steps > 0 or steps == -1, f"trainer.validation_steps: {steps} is not positive or -1")
  _require(
    steps > 0 or not trainer.eval_tf_while_loop,
    "trainer.eval_tf_while_loop needs a number of trainer.validation_steps",
  )
  _choose(
    "trainer.best_checkpoint_metric_comp", trainer.best_checkpoint_metric_comp, ("higher", "lower")
  )


def _check_optimizer(params: cfg.ExperimentConfig) -> None:
  config = params.trainer.optimizer_config
  for name in ("optimizer", "learning_rate"):
    _require(getattr(config, name).type, f"trainer.optimizer_config.{name}.type: not set")
  _require(
    not config.ema or params.runtime.mixed_precision_dtype != "float16",
    "trainer.optimizer_config.ema and runtime.mixed_precision_dtype=float16 exclude each other: "
    "use bfloat16",
  )


def _check_data(data: cfg.DataConfig, name: str) -> None:
  _require(
    not (data.input_path and data.tfds_name),
    f"{name}: input_path and tfds_name are both set; choose one",
  )
  _require(data.input_path or data.tfds_name, f"{name}: set input_path or tfds_name")
  _require(not data.tfds_name or data.tfds_split, f"{name}.tfds_split: needed with tfds_name")
  size = data.global_batch_size
  _require(size > 0, f"{name}.global_batch_size: expected a positive number, got {size}")
  for pattern in _patterns(data.input_path):
    _require(_matches(pattern), f"{name}.input_path: no file matches '{pattern}'")


def _patterns(paths: Any) -> list[str]:
  """The patterns in TFMG's `input_path`: a string with commas, or a list or section of such."""
  if isinstance(paths, str):
    return [path.strip() for path in paths.split(",") if path.strip()]
  values = paths if isinstance(paths, list | tuple) else paths.as_dict().values()
  return [pattern for value in values for pattern in _patterns(value)]


def _matches(pattern: str) -> bool:
  try:
    return bool(tf.io.gfile.glob(pattern))
  except tf.errors.OpError:
    return False


def _check_checkpoint(path: str) -> None:
  if os.path.isfile(path):  # Perhaps an original's: what it is the task tells by its content.
    return
  prefix = tf.train.latest_checkpoint(path) if tf.io.gfile.isdir(path) else path
  _require(
    prefix and tf.io.gfile.exists(f"{prefix}.index"),
    f"task.init_checkpoint: no checkpoint at {path}",
  )


def _choose(name: str, value: str | None, known: tuple[str | None, ...]) -> None:
  names = [k for k in known if k]
  _require(value in known, f"{name}: no '{value}'{nearest(str(value), names)} ({', '.join(names)})")


def _require(condition: Any, message: str) -> None:
  if not condition:
    raise UserError(message)
