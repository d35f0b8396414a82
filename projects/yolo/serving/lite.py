"""A network as LiteRT files, in float32 or 8-bit integers, and detection with them.

`network.tflite` makes raw outputs of pixels; `detections.tflite`, always in float32, makes boxes of
them: eight bits would do for scores, but not for the coordinates of boxes.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from official.cli.files import write_file
from official.datasets.annotations import Category
from official.dossiers.dossier import Detections
from official.serving import exported
from official.serving.exported import Exported
from official.serving.lite import LiteFunction, convert
from projects.yolo.configs.yolo import YoloTask as Config
from projects.yolo.ops import geometry
from projects.yolo.ops.boxes import to_image_pixels
from projects.yolo.serving.detector import IMAGE, load_deployed
from projects.yolo.tasks.yolo import YoloTask

_NETWORK, _DETECTIONS = "network.tflite", "detections.tflite"
_EXAMPLES = 100  # Images by which ranges are found.


def export(
  task: Config,
  checkpoint: str,
  categories: Sequence[Category],
  directory: str,
  integers: bool = False,
) -> None:
  """Writes a folder that `LiteDetector` reads.

  Args:
    task: the configuration.
    checkpoint: prefix of a checkpoint of the network.
    categories: by class.
    directory: to write to.
    integers: whether weights and activations are 8-bit integers; their ranges are found by images
      of the training data, resized as in evaluation.

  Raises:
    UserError: the checkpoint or, for integers, the training data cannot be read.
  """
  model, size = load_deployed(task, checkpoint), task.model.input_size
  levels = list(model.coordinates.anchors)
  shapes = [model.head.output[str(level)].shape[1:] for level in levels]

  def network(images: tf.Tensor) -> dict[str, tf.Tensor]:
    raw = model(images, training=False)["raw"]
    return {f"raw{level}": raw[str(level)] for level in levels}

  def detections(*raw: tf.Tensor) -> dict[str, tf.Tensor]:
    return model.detections(dict(zip(map(str, levels), raw, strict=True)))

  images = tf.TensorSpec([1, size, size, 3], tf.uint8, "images")
  raw = [
    tf.TensorSpec([1, *shape], tf.float32, f"raw{level}")
    for level, shape in zip(levels, shapes, strict=True)
  ]
  folder = Path(directory)
  examples = list(_examples(task)) if integers else None
  write_file(folder / _NETWORK, convert(network, [images], examples))
  write_file(folder / _DETECTIONS, convert(detections, raw))
  options = {"letterbox": task.validation_data.letterbox}
  Exported("yolo", categories, options).write(folder)


def _examples(task: Config) -> Iterable[list[np.ndarray]]:
  own = task.validation_data
  params = task.train_data.replace(
    is_training=False, global_batch_size=1, drop_remainder=False, letterbox=own.letterbox
  )
  for images, _ in YoloTask(task).build_inputs(params).take(_EXAMPLES):
    yield [images.numpy()]


class LiteDetector:
  """Detects as `YoloDetector`, with LiteRT files, an image at a time.

  Args:
    directory: that `export` wrote.

  Raises:
    UserError: a file is missing or damaged.
  """

  def __init__(self, directory: Path) -> None:
    self._network = LiteFunction(directory / _NETWORK)
    self._detections = LiteFunction(directory / _DETECTIONS)
    fit = geometry.fitting(exported.read(directory).options["letterbox"])
    size = self._network.inputs["images"][1]
    self._fit = tf.function(lambda image: fit(image, size), input_signature=[IMAGE])

  def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
    """What is in each of the images, see `official.dossiers.dossier.Detector`."""
    return [self._detect(image) for image in images]

  def _detect(self, image: np.ndarray) -> Detections:
    fitted, info = self._fit(image)
    found = self._detections(**self._network(images=fitted[None].numpy()))
    boxes = to_image_pixels(found["boxes"], info[None], tf.constant([image.shape[:2]]))
    count = int(found.pop("count")[0])
    return {name: each[0, :count] for name, each in (found | {"boxes": boxes.numpy()}).items()}
