"""The very step that Orbit runs on each core, traced: the trainer's, not one like it."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import tensorflow as tf
import tf_keras

from official.core import config_definitions as cfg
from official.core import task_factory, train_utils
from official.modeling import performance
from official.tpu.inputs import input_specs
from official.tpu.strategy import ReplicaStrategy
from official.training.trainer import Trainer

Kind = Literal["train", "eval"]


@dataclasses.dataclass(frozen=True)
class Step:
  """One replica's program, and what it was traced for.

  Attributes:
    kind: whether it trains or evaluates.
    replicas: how many cores run it in step.
    function: takes the tensors of `specs`; returns the logs of an evaluation, flat.
    specs: of one replica's batch, flat.
    inputs: the name of each of them, such as `1/boxes`.
    outputs: the name of each output, such as `detections/boxes`.
    trainer: whose step it is; it holds model, optimizer and metrics.
    precision: the dtype in which the model computes.
  """

  kind: Kind
  replicas: int
  function: tf.types.experimental.GenericFunction
  specs: tuple[tf.TensorSpec, ...]
  inputs: tuple[str, ...]
  outputs: tuple[str, ...]
  trainer: Trainer
  precision: str

  @property
  def graph(self) -> tf.types.experimental.ConcreteFunction:
    """The traced function."""
    return self.function.get_concrete_function(*self.specs)

  @property
  def model(self) -> tf_keras.Model:
    """The network."""
    return self.trainer.model


def trace(params: cfg.ExperimentConfig, kind: Kind, replicas: int) -> Step:
  """The step of an experiment, as each of `replicas` cores runs it.

  Orbit's trainer is built with its optimizer, averages, clipping, loss scaling and metrics, and its
  `train_step` or `eval_step` is traced for one batch. Nothing is run.

  Raises:
    UserError: the batch does not divide among the replicas.
    Exception: what the task's own code raises while it is traced; see `official.tpu.lint.tracing`.
  """
  strategy = ReplicaStrategy(replicas)
  tf_keras.backend.reset_uids()  # A step's names do not depend on what was traced before.
  tf_keras.utils.set_random_seed(params.task.train_data.seed or 0)
  with _precision(params.runtime.mixed_precision_dtype), strategy.scope():
    task = task_factory.get_task(params.task)
    specs = input_specs(task, kind == "train", replicas)
    trainer = _trainer(params, task, kind)
    step = _traced(trainer, specs, kind, strategy)
  return step


@contextmanager
def _precision(dtype: str | None) -> Iterator[None]:
  """Keras' policy for what is built inside, as `official.training.environment` sets it."""
  before = tf_keras.mixed_precision.global_policy()
  if dtype:
    performance.set_mixed_precision_policy(dtype)
  try:
    yield
  finally:
    tf_keras.mixed_precision.set_global_policy(before)


def _trainer(params: cfg.ExperimentConfig, task: Any, kind: Kind) -> Trainer:
  unread = tf.data.Dataset.range(1)
  model = task.build_model()
  return Trainer(
    params,
    task,
    model=model,
    optimizer=train_utils.create_optimizer(task, params),
    train=kind == "train",
    evaluate=kind == "eval",
    train_dataset=unread,
    validation_dataset=unread,
  )


def _traced(trainer: Trainer, specs: Any, kind: Kind, strategy: tf.distribute.Strategy) -> Step:
  flat, names = tf.nest.flatten(specs), []

  def run(*tensors: tf.Tensor) -> list[tf.Tensor]:
    batch = iter([tf.nest.pack_sequence_as(specs, tensors)])
    with strategy.scope():
      if kind == "train":
        trainer.train_step(batch)
        return []
      logs = trainer.eval_step(batch)
    names[:] = _paths(logs)
    return tf.nest.flatten(logs)

  named = [
    tf.TensorSpec(spec.shape, spec.dtype, f"input_{index}") for index, spec in enumerate(flat)
  ]
  function = tf.function(run, jit_compile=True, autograph=False)
  function.get_concrete_function(*named)
  precision = tf_keras.mixed_precision.global_policy().compute_dtype
  replicas = strategy.num_replicas_in_sync
  inputs = tuple(_paths(specs))
  return Step(kind, replicas, function, tuple(named), inputs, tuple(names), trainer, precision)


def _paths(logs: Any, path: str = "") -> Iterator[str]:
  """Of each tensor, in `tf.nest`'s order; Orbit gives a replica's tensor as a tuple of one."""
  if isinstance(logs, dict):
    for key in sorted(logs):
      yield from _paths(logs[key], f"{path}/{key}")
  elif isinstance(logs, (list, tuple)):
    for index, each in enumerate(logs):
      yield from _paths(each, path if len(logs) == 1 else f"{path}/{index}")
  else:
    yield path.removeprefix("/")
