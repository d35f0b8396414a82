"""A network as a SavedModel: image bytes in, segments out."""

import tensorflow as tf

from official.cli.errors import UserError
from official.serving import weights
from official.training import pixels
from projects.maskformer.configs.maskformer import MaskFormerTask
from projects.maskformer.modeling.factory import build_maskformer
from projects.maskformer.modeling.variants import get_variant
from projects.maskformer.postprocessing.panoptic import panoptic
from projects.maskformer.postprocessing.resizing import Frame
from projects.maskformer.serving.segmenter import fit

Outputs = dict[str, tf.Tensor]


class ServedMaskFormer(tf.Module):
  """What is exported: the network with its resizing and the panoptic rules.

  Args:
    task: the configuration, of a network that predicts masks.
    checkpoint: prefix of a checkpoint of the network.
    things: for each class whether it is a thing.
  """

  def __init__(self, task: MaskFormerTask, checkpoint: str, things: list[bool]) -> None:
    super().__init__()
    self.model = build_maskformer(task.model)
    weights.load(self.model, checkpoint)
    self._task, self._things = task, things

  @tf.function(input_signature=[tf.TensorSpec([], tf.string, "image_bytes")], autograph=False)
  def serve(self, image_bytes: tf.Tensor) -> Outputs:
    """Segments one image.

    Args:
      image_bytes: () string, JPEG or PNG; not turned as EXIF data say.

    Returns:
      `segments` [h, w] int32 at the image's own size, each pixel's segment from 1, 0 for none;
      `classes` [n] int32 and `scores` [n] float32 of the segments 1, 2, ….
    """
    image = pixels.decode(image_bytes)
    config, limits = self._task.validation_data, self._task.inference
    inputs, shown = fit(image, config)
    outputs = self.model(inputs[None], training=False)
    found = panoptic(
      outputs["class_logits"][0],
      outputs["mask_logits"][0],
      Frame(tf.constant(config.output_size), shown, tf.shape(image)[:2]),
      tf.constant(self._things),
      limits.object_threshold,
      limits.overlap_threshold,
    )
    taken = {"classes": found.classes[: found.count], "scores": found.scores[: found.count]}
    return {"segments": found.ids} | taken


def export(task: MaskFormerTask, checkpoint: str, things: list[bool], directory: str) -> None:
  """Writes a SavedModel with the signature `serving_default`, see `ServedMaskFormer.serve`.

  Args:
    task: the configuration, of a network that predicts masks.
    checkpoint: prefix of a checkpoint of the network.
    things: for each class whether it is a thing.
    directory: to write to.

  Raises:
    UserError: the checkpoint cannot be read, or is of another network; the network is a baseline
      that classifies pixels; or `many_views` are asked for, which give no segments.
  """
  if get_variant(task.model.variant).kind != "mask":
    raise UserError(f"task.model.variant: {task.model.variant} classifies pixels: no segments")
  if task.validation_data.many_views.enabled:
    raise UserError("what is exported sees one view: task.validation_data.many_views.enabled=false")
  served = ServedMaskFormer(task, checkpoint, things)
  tf.saved_model.save(served, directory, {"serving_default": served.serve})
