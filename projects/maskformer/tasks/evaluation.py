"""What an evaluation measures, image by image, on the host."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from official.datasets.annotations import Category
from official.evaluation import coco_masks, panoptic, semantic
from official.evaluation.gathering import Mergeable
from projects.maskformer.configs.maskformer import MaskFormerTask
from projects.maskformer.serving.inference import PostProcessing

Arrays = Mapping[str, Any]
Sizes = tuple[Sequence[int], Sequence[int], Sequence[int]]


class Evaluation(Protocol):
  """One kind of figures.

  Attributes:
    evaluator: counts what is found in images.
  """

  evaluator: Mergeable

  def add(self, truth: Arrays, outputs: Arrays, sizes: Sizes) -> None:
    """Adds an image: its `groundtruths`, outputs, and sizes as of `PostProcessing`.

    Among the outputs may be `views`, [`serving.inference.View`], of which semantic labels are.
    """


class Panoptic:
  """PQ, SQ, RQ of all classes, things and stuff."""

  def __init__(self, processing: PostProcessing, categories: Sequence[Category]) -> None:
    self._processing = processing
    self.evaluator = panoptic.PanopticQuality([category.isthing for category in categories])

  def add(self, truth: Arrays, outputs: Arrays, sizes: Sizes) -> None:
    found = self._processing.segments(outputs, *sizes)
    self.evaluator.add(
      int(truth["source_id"]),
      true_segments(truth),
      panoptic.PanopticMap(found.ids, np.arange(1, len(found.classes) + 1), found.classes),
    )


class Semantic:
  """Mean IoU and its kin."""

  def __init__(self, processing: PostProcessing, categories: Sequence[Category]) -> None:
    self._processing = processing
    self.evaluator = semantic.SemanticEvaluator(len(categories))

  def add(self, truth: Arrays, outputs: Arrays, sizes: Sizes) -> None:
    if "views" in outputs:
      labels = self._processing.average_labels(outputs["views"], sizes[2])
    else:
      labels = self._processing.labels(outputs, *sizes)
    self.evaluator.add(int(truth["source_id"]), true_labels(truth), labels)


class Instance:
  """COCO's mask AP, of things; an object's area is that of its mask."""

  def __init__(self, processing: PostProcessing, categories: Sequence[Category]) -> None:
    self._processing = processing
    self._things = np.array([category.isthing for category in categories])
    self.evaluator = coco_masks.CocoMaskEvaluator([category.name for category in categories])

  def add(self, truth: Arrays, outputs: Arrays, sizes: Sizes) -> None:
    found = self._processing.instances(outputs, *sizes)
    predicted = coco_masks.FoundMasks(
      coco_masks.encode_masks(found.masks), found.classes, found.scores
    )
    size = int(truth["height"]), int(truth["width"])
    self.evaluator.add(int(truth["source_id"]), size, self._true(truth), predicted)

  def _true(self, truth: Arrays) -> coco_masks.TrueMasks:
    known = true_segments(truth)
    chosen = self._things[known.classes]
    masks = known.ids[..., None] == known.segments[chosen]
    areas, crowds = masks.sum((0, 1)), known.is_crowd[chosen]
    return coco_masks.TrueMasks(
      coco_masks.encode_masks(masks), known.classes[chosen], areas, crowds
    )


KINDS: Mapping[str, Callable[[PostProcessing, Sequence[Category]], Evaluation]] = {
  "panoptic": Panoptic,
  "semantic": Semantic,
  "instance": Instance,
}


def post_processing(config: MaskFormerTask, categories: Sequence[Category]) -> PostProcessing:
  """The rules that the task's configuration asks for."""
  things = [category.isthing for category in categories]
  return PostProcessing(things, config.inference, "panoptic" in config.evaluations)


def true_segments(truth: Arrays) -> panoptic.PanopticMap:
  """An image's `groundtruths` as a map of the image's own size."""
  valid = np.asarray(truth["valid"], bool)
  return panoptic.PanopticMap(
    ids=truth["segments"][: int(truth["height"]), : int(truth["width"])],
    segments=np.flatnonzero(valid) + 1,
    classes=truth["classes"][valid],
    is_crowd=truth["is_crowd"][valid],
  )


def true_labels(truth: Arrays) -> np.ndarray:
  """An image's `groundtruths` as the class of each pixel [h, w]."""
  known = true_segments(truth)
  classes = np.append(truth["classes"], semantic.IGNORE)  # Place 0 is void: index −1.
  return classes[known.ids.astype(np.int64) - 1]
