"""Mean intersection over union and its kin, as detectron2's `SemSegEvaluator` defines them."""

import numpy as np

from official.evaluation.runs import pair_runs

IGNORE = -1  # The label of pixels that do not count.

METRICS = ("mIoU", "fwIoU", "mACC", "pACC")


class SemanticEvaluator:
  """Counts the pixels of each pair of classes, image by image.

  Args:
    num_classes: labels are 0 to this less one.
    ignore: the label of ground truth that does not count.
  """

  def __init__(self, num_classes: int, ignore: int = IGNORE) -> None:
    self._classes, self._ignore = num_classes, ignore
    self.reset()

  def reset(self) -> None:
    """Forgets everything that was added."""
    self._seen: set[int] = set()
    self._confusion = np.zeros([self._classes, self._classes], np.int64)

  def add(self, image_id: int, truth: np.ndarray, labels: np.ndarray) -> None:
    """Adds an image; one that was added before is passed over.

    Args:
      image_id: of the image.
      truth: the label of each pixel [h, w], an integer type.
      labels: the predicted ones, of the same size; never the one to ignore.

    Raises:
      ValueError: sizes differ, or a label is out of range.
    """
    if image_id in self._seen:
      return
    runs = pair_runs(truth, labels)
    counted = runs.first != self._ignore
    true, predicted, pixels = (part[counted].astype(np.int64) for part in runs)
    for values in (true, predicted):
      if values.size and not 0 <= values.min() <= values.max() < self._classes:
        raise ValueError(f"a label is not one of 0 to {self._classes - 1}")
    np.add.at(self._confusion, (true, predicted), pixels)
    self._seen.add(image_id)

  def state(self) -> tuple[np.ndarray, np.ndarray]:
    """What was added: image ids [n] int64, and pixels [c, c] int64 by true and predicted class."""
    return np.array(sorted(self._seen), np.int64), self._confusion.copy()

  def merge(self, state: tuple[np.ndarray, np.ndarray]) -> None:
    """Adds another worker's `state`.

    Raises:
      ValueError: both have counted the same image.
    """
    image_ids, confusion = state
    if twice := self._seen.intersection(image_ids.tolist()):
      raise ValueError(f"image {min(twice)} has been counted twice")
    self._seen.update(image_ids.tolist())
    self._confusion += confusion

  def per_class(self) -> dict[str, np.ndarray]:
    """For each class [c] `IoU` and `ACC` (the share of its pixels that is found), in 0..1.

    NaN where the class has no pixel in the ground truth: such classes count in no mean.
    """
    found = np.diagonal(self._confusion)
    true, predicted = self._confusion.sum(1), self._confusion.sum(0)
    with np.errstate(invalid="ignore"):
      accuracy = found / true
      iou = np.where(true > 0, found / (true + predicted - found), np.nan)
    return {"IoU": iou, "ACC": accuracy}

  def evaluate(self) -> dict[str, float]:
    """The figures of `METRICS`, each in 0..1; −1 where no pixel counted.

    Mean IoU, IoU weighted by the classes' true pixels, mean accuracy, and the share of all pixels.
    """
    true = self._confusion.sum(1)
    if not true.any():
      return dict.fromkeys(METRICS, -1.0)
    table = self.per_class()
    iou, accuracy = (table[name][true > 0] for name in ("IoU", "ACC"))
    figures = (
      iou.mean(),
      (iou * true[true > 0] / true.sum()).sum(),
      accuracy.mean(),
      np.trace(self._confusion) / true.sum(),
    )
    return {name: float(value) for name, value in zip(METRICS, figures, strict=True)}
