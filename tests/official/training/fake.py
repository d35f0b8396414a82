"""A tiny convolutional experiment, `fake`: BatchNorm, momentum, averages, stateless data."""

import dataclasses

import tensorflow as tf
import tf_keras

from official.core import base_task, exp_factory, task_factory
from official.core import config_definitions as cfg
from official.modeling import hyperparams, optimization


@dataclasses.dataclass
class FakeModel(hyperparams.Config):
  filters: int = 4


@dataclasses.dataclass
class FakeConfig(cfg.TaskConfig):
  model: FakeModel = dataclasses.field(default_factory=FakeModel)
  poison_step: int = -1  # The loss of this step is NaN.


@task_factory.register_task_cls(FakeConfig)
class FakeTask(base_task.Task):
  """Regresses the mean of an image."""

  def build_model(self):
    image = tf_keras.Input([8, 8, 3])
    x = tf_keras.layers.Conv2D(self.task_config.model.filters, 3, use_bias=False)(image)
    x = tf_keras.layers.BatchNormalization(momentum=0.9)(x)
    x = tf_keras.layers.GlobalAveragePooling2D()(tf.nn.relu(x))
    return tf_keras.Model(image, tf_keras.layers.Dense(1, dtype="float32")(x))

  def build_inputs(self, params, input_context=None, start_step=0):
    batch, pipeline, pipelines = params.global_batch_size, 0, 1
    if input_context:
      batch = input_context.get_per_replica_batch_size(batch)
      pipeline, pipelines = input_context.input_pipeline_id, input_context.num_input_pipelines
    replicas = params.global_batch_size // batch // pipelines

    def example(index):
      image = tf.random.stateless_uniform([batch, 8, 8, 3], [params.seed or 0, index])
      step = index // (pipelines * replicas)
      return image, {"mean": tf.reduce_mean(image, [1, 2, 3]), "step": tf.repeat(step, batch)}

    start, stop = (start_step, 2**40) if params.is_training else (0, 3)
    first, last = start * pipelines * replicas, stop * pipelines * replicas
    data = tf.data.Dataset.range(first, last).shard(pipelines, pipeline)
    data = data.map(example, num_parallel_calls=2).prefetch(2)
    if params.input_path.endswith(".tfrecord"):
      records = tf.data.TFRecordDataset(params.input_path)
      data = tf.data.Dataset.zip(data, records).map(lambda batch, _: batch)
    return data

  def build_losses(self, labels, model_outputs, aux_losses=None):
    loss = tf.reduce_mean(tf.square(model_outputs[:, 0] - labels["mean"]))
    bad = tf.reduce_any(tf.equal(labels["step"] + 1, self.task_config.poison_step))
    return tf.where(bad, float("nan"), loss)

  def train_step(self, inputs, model, optimizer, metrics=None):
    logs = super().train_step(inputs, model, optimizer, metrics)
    return {**logs, "twice": 2 * logs["loss"]}

  def aggregate_logs(self, state, step_logs):
    return (state or 0) + 1

  def reduce_aggregated_logs(self, aggregated_logs, global_step=None):
    image = tf.zeros([1, 8, 8, 3], tf.uint8)
    return {"batches": aggregated_logs, "image/black": image}


@exp_factory.register_config_factory("fake")
def fake():
  optimizer = optimization.OptimizationConfig(
    {
      "optimizer": {"type": "sgd", "sgd": {"momentum": 0.9}},
      "ema": {"average_decay": 0.99, "trainable_weights_only": False},
      "learning_rate": {"type": "cosine", "cosine": {"initial_learning_rate": 0.05}},
      "warmup": {"type": "linear", "linear": {"warmup_steps": 5}},
    }
  )
  optimizer.learning_rate.cosine.decay_steps = 24
  data = {"input_path": __file__, "global_batch_size": 4, "seed": 7}
  return cfg.ExperimentConfig(
    task=FakeConfig(
      train_data=cfg.DataConfig(is_training=True, **data),
      validation_data=cfg.DataConfig(is_training=False, **data),
    ),
    trainer=cfg.TrainerConfig(
      optimizer_config=optimizer,
      train_steps=24,
      steps_per_loop=2,
      summary_interval=2,
      checkpoint_interval=4,
      validation_interval=6,
      best_checkpoint_export_subdir="best_ckpt",
      best_checkpoint_eval_metric="validation_loss",
      best_checkpoint_metric_comp="lower",
    ),
    runtime=cfg.RuntimeConfig(distribution_strategy="one_device"),
    restrictions=["task.train_data.is_training != None"],
  )
