"""A network as a SavedModel: image bytes in, detections out."""

import tensorflow as tf

from official.training import pixels
from projects.yolo.configs.yolo import YoloTask
from projects.yolo.ops import geometry
from projects.yolo.ops.boxes import to_image_pixels
from projects.yolo.ops.nms import Detections
from projects.yolo.serving.detector import load_deployed


class ServedYolo(tf.Module):
  """What is exported: the network, deployed, with its resizing and suppression.

  Args:
    task: the configuration; of its data, only whether evaluation keeps the aspect ratio counts.
    checkpoint: prefix of a checkpoint of the network.

  Raises:
    UserError: the checkpoint cannot be read, or is of another network.
  """

  def __init__(self, task: YoloTask, checkpoint: str) -> None:
    super().__init__()
    self.model = load_deployed(task, checkpoint)
    self._fit = geometry.fitting(task.validation_data.letterbox)
    self._size = task.model.input_size

  @tf.function(input_signature=[tf.TensorSpec([], tf.string, "image_bytes")], autograph=False)
  def serve(self, image_bytes: tf.Tensor) -> Detections:
    """Detects in one image.

    Args:
      image_bytes: () string, JPEG or PNG; not turned as EXIF data say.

    Returns:
      `boxes` [n, 4] float32 yxyx in the image's own pixels, `classes` [n] int32 and `scores` [n]
      float32, best first.
    """
    image = pixels.decode(image_bytes)
    fitted, info = self._fit(image, self._size)
    found = {name: each[0] for name, each in self.model(fitted[None])["detections"].items()}
    count = found.pop("count")
    found["boxes"] = to_image_pixels(found["boxes"][None], info[None], tf.shape(image)[None, :2])[0]
    return {name: each[:count] for name, each in found.items()}


def export(task: YoloTask, checkpoint: str, directory: str) -> None:
  """Writes a SavedModel with the signature `serving_default`, see `ServedYolo`."""
  served = ServedYolo(task, checkpoint)
  tf.saved_model.save(served, directory, {"serving_default": served.serve})
