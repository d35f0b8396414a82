"""Mean IoU against detectron2's recorded figures, and by hand."""

import pathlib

import numpy as np
import pytest

from official.evaluation.semantic import METRICS, SemanticEvaluator

CLASSES, IGNORE = 9, 255


@pytest.fixture(scope="module")
def recorded():
  with np.load(pathlib.Path(__file__).parent / "semantic.npz") as file:
    return dict(file)


def _evaluator(recorded, images):
  evaluator = SemanticEvaluator(CLASSES, IGNORE)
  for image in images:
    evaluator.add(image, recorded["truth"][image], recorded["labels"][image])
  return evaluator


def test_equals_detectron2(recorded):
  evaluator = _evaluator(recorded, range(6))
  figures = evaluator.evaluate()
  assert list(figures) == list(METRICS)
  np.testing.assert_allclose(list(figures.values()), recorded["figures"], rtol=1e-14)
  table = evaluator.per_class()
  got = np.stack([table["IoU"], table["ACC"]], axis=1)
  np.testing.assert_allclose(got, recorded["per_class"], rtol=1e-14)
  assert np.isnan(got[7:]).all()
  assert 0.2 < figures["mIoU"] < 0.9


def test_merged_workers_equal_one(recorded):
  first, second = _evaluator(recorded, [0, 3, 4]), _evaluator(recorded, [1, 2, 5])
  before = first.evaluate()
  merged = SemanticEvaluator(CLASSES, IGNORE)
  merged.merge(first.state())
  merged.merge(second.state())
  assert merged.evaluate() == _evaluator(recorded, range(6)).evaluate()
  assert first.evaluate() == before
  with pytest.raises(ValueError, match="image 0 has been counted twice"):
    merged.merge(first.state())
  merged.add(5, recorded["truth"][0], recorded["labels"][1])
  assert merged.evaluate() == _evaluator(recorded, range(6)).evaluate()
  merged.reset()
  merged.merge(first.state())
  assert merged.evaluate() == before


def test_a_state_stays_as_it_was(recorded):
  evaluator = _evaluator(recorded, [0])
  _, confusion = evaluator.state()
  pixels = confusion.sum()
  evaluator.add(1, recorded["truth"][1], recorded["labels"][1])
  assert confusion.sum() == pixels


def test_hand_count():
  evaluator = SemanticEvaluator(3)
  evaluator.add(1, np.array([[0, 0, 0, 1], [1, -1, -1, 0]]), np.array([[0, 0, 1, 1], [2, 2, 0, 0]]))
  # Class 0: 3 of 4 found, none elsewhere; class 1: 1 of 2, and 1 too many; class 2: not there.
  table = evaluator.per_class()
  np.testing.assert_array_equal(table["IoU"], [3 / 4, 1 / 3, np.nan])
  np.testing.assert_array_equal(table["ACC"], [3 / 4, 1 / 2, np.nan])
  figures = evaluator.evaluate()
  assert figures["mIoU"] == pytest.approx((3 / 4 + 1 / 3) / 2)
  assert figures["fwIoU"] == pytest.approx(3 / 4 * 4 / 6 + 1 / 3 * 2 / 6)
  assert figures["mACC"] == pytest.approx(5 / 8)
  assert figures["pACC"] == pytest.approx(4 / 6)


def test_nothing_counts():
  evaluator = SemanticEvaluator(3)
  assert set(evaluator.evaluate().values()) == {-1.0}
  evaluator.add(1, np.full((2, 2), -1), np.zeros((2, 2), int))
  assert set(evaluator.evaluate().values()) == {-1.0}


@pytest.mark.parametrize(("truth", "label"), [(3, 0), (-2, 0), (0, 3), (0, -1)])
def test_labels_out_of_range(truth, label):
  evaluator = SemanticEvaluator(3)
  with pytest.raises(ValueError, match="not one of 0 to 2"):
    evaluator.add(1, np.array([[0, truth]]), np.array([[0, label]]))
  evaluator.add(1, np.array([[0, 1]]), np.array([[0, 1]]))
  assert evaluator.evaluate()["mIoU"] == 1


def test_sizes_must_agree():
  with pytest.raises(ValueError, match="sizes"):
    SemanticEvaluator(3).add(1, np.zeros((2, 3), int), np.zeros((3, 2), int))
