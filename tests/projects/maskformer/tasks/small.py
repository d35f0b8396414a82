"""Tasks small enough for tests."""

from official.core import exp_factory, task_factory


def make_task(shapes, **changes):
  """The task of `maskformer_tiny_shapes` at 64 pixels, on the folder `shapes`."""
  params = exp_factory.get_exp_config("maskformer_tiny_shapes").task
  size = {"output_size": [64, 64], "min_sizes": [64], "max_size": 64, "groundtruth_size": [64, 64]}
  for data, split in ((params.train_data, "train"), (params.validation_data, "val")):
    paths = {"input_path": f"{shapes}/{split}-*.tfrecord", "global_batch_size": 4}
    data.override(size | paths)
  params.override(changes)
  return task_factory.get_task(params)
