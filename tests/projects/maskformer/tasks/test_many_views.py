"""Semantic labels by the mean over views, against a mean made by hand."""

import numpy as np
import pytest
import tensorflow as tf

import projects.registry  # noqa: F401
from official.cli.errors import UserError
from official.evaluation.semantic import SemanticEvaluator
from projects.maskformer.configs.maskformer import Inference
from projects.maskformer.dataloaders.normalization import PIXEL_MEAN, PIXEL_STD
from projects.maskformer.serving import segmenter
from projects.maskformer.serving.export import export
from projects.maskformer.serving.inference import PostProcessing, View
from projects.maskformer.tasks.evaluation import true_labels
from tests.projects.maskformer.tasks.small import make_task

SIZES = (32, 64)
# The canvas is wider than the images: mirrored or not, they lie at its left.
DATA = {
  "output_size": [64, 128],
  "global_batch_size": 3,
  "many_views": {"enabled": True, "min_sizes": list(SIZES), "max_size": 100},
}


@pytest.fixture(scope="module")
def task(shapes):
  return make_task(shapes, evaluations=["semantic"], validation_data=DATA)


class Network:
  """Ten sure queries, a class each; their masks are of colours, and of places."""

  variable_dtype = "float32"

  def __call__(self, images, training):
    count, _, width, _ = images.shape
    colours = np.random.default_rng(0).normal(size=(3, 10)).astype(np.float32)
    masks = tf.nn.avg_pool2d(images, 4, 4, "SAME") @ colours
    masks = 0.5 * masks + tf.linspace(0.0, 2.0, width // 4)[:, None] * tf.linspace(-1.0, 1.0, 10)
    return {
      "class_logits": tf.tile(8 * tf.eye(10, 11)[None], [count, 1, 1]),
      "mask_logits": tf.transpose(masks, [0, 3, 1, 2]),
    }


@pytest.fixture(scope="module")
def batch(task):
  return next(iter(task.build_inputs(task.task_config.validation_data)))


@pytest.fixture(scope="module")
def by_hand(batch):
  """The labels [64, 64] of each image, of plain views that the pipeline made."""
  views = batch[1]["views"]
  total = 0
  for place, size in enumerate(SIZES):
    images = views[str(2 * place)]["image"].numpy()[:, :size, :size]
    total += _scores(images, size) + _scores(images[:, :, ::-1], size)[:, :, ::-1]
  return total.argmax(-1)


def _scores(images, size):
  """[b, 64, 64, c] of images [b, size, size, 3], by operations that are not ours."""
  canvas = np.zeros([len(images), size, 2 * size, 3], np.float32)
  canvas[:, :, :size] = (images - np.float32(PIXEL_MEAN)) / np.float32(PIXEL_STD)
  outputs = Network()(canvas, training=False)
  classes = tf.nn.softmax(outputs["class_logits"])[..., :-1]
  logits = tf.transpose(outputs["mask_logits"], [0, 2, 3, 1])
  masks = tf.sigmoid(tf.image.resize(logits, canvas.shape[1:3]))
  scores = tf.einsum("bhwq,bqc->bhwc", masks[:, :, :size], classes)
  return tf.image.resize(scores, [64, 64]).numpy()


def test_an_evaluation_counts_the_mean_of_all_views(task, batch, by_hand):
  outputs = task.validation_step(batch, Network())
  state = task.aggregate_logs(None, tf.nest.map_structure(lambda x: (x,), outputs))
  truth = batch[1]["groundtruths"]
  expected, plain = SemanticEvaluator(10), SemanticEvaluator(10)
  for row, labels in enumerate(by_hand):
    true = true_labels({key: values[row].numpy() for key, values in truth.items()})
    expected.add(row, true, labels)
    logits = {key: outputs[key][row] for key in ("class_logits", "mask_logits")}
    plain.add(row, true, state["processing"].labels(logits, (64, 128), (64, 64), (64, 64)))
  (evaluation,) = state["evaluations"]
  counted = evaluation.evaluator.state()[1]
  assert np.abs(counted - expected.state()[1]).sum() <= 4  # A pixel or two where classes tie.
  assert np.abs(counted - plain.state()[1]).sum() > 100
  assert task.reduce_aggregated_logs(state)["mIoU"] == pytest.approx(
    expected.evaluate()["mIoU"], 1e-2
  )


def test_the_segmenter_labels_by_the_same_mean(task, batch, by_hand, monkeypatch):
  monkeypatch.setattr(segmenter, "build_maskformer", lambda config: Network())
  monkeypatch.setattr(segmenter.weights, "load", lambda model, checkpoint: None)
  categories = task.categories(task.task_config.validation_data)
  network = segmenter.MaskFormerSegmenter(task.task_config, "", 2, categories)
  found = network.segment(batch[0].numpy()[:, :, :64])  # Three images in batches of two.
  for each, labels in zip(found, by_hand, strict=True):
    assert len(each.classes) > 3
    assert (each.classes[each.ids - 1] != labels).sum() <= 2
    assert (each.scores == 1).all()


def test_what_is_exported_sees_one_view(task, tmp_path):
  with pytest.raises(UserError, match=r"one view: .*enabled=false"):
    export(task.task_config, "", [True] * 10, str(tmp_path))


def test_baselines_are_averaged_too():
  rng = np.random.default_rng(0)
  plain, mirrored = rng.normal(size=(2, 4, 4, 3)).astype(np.float32)
  views = [View({"semantic_logits": x}, (4, 4), (4, 4)) for x in (plain, mirrored)]
  processing = PostProcessing([True] * 3, Inference(), False)
  expected = (plain + mirrored[:, ::-1]).argmax(-1)
  np.testing.assert_array_equal(processing.average_labels(views, (4, 4)), expected)


def test_other_evaluations_cannot_be_averaged(shapes):
  task = make_task(shapes, evaluations=["semantic", "panoptic"], validation_data=DATA)
  with pytest.raises(UserError, match=r"semantic labels: set task.evaluations=\[semantic\]"):
    task.aggregate_logs(None, {})


def test_there_is_one_view_unless_asked(shapes):
  data = make_task(shapes).task_config.validation_data
  assert not data.many_views.enabled
