"""The segmenter says what an evaluation says, and so does the exported model."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from PIL import Image

import projects.registry  # noqa: F401
from official.cli.errors import UserError
from official.datasets.annotations import Category
from official.datasets.shapes_scene import STUFF, THINGS
from official.dossiers.dossier import Segmentation
from official.serving import segment_results
from projects.maskformer.serving.export import export
from projects.maskformer.serving.segmenter import MaskFormerSegmenter
from projects.maskformer.tasks.evaluation import post_processing
from tests.projects.maskformer.tasks.small import make_task
from tools import export as export_tool
from tools import predict

# Random weights are sure of nothing.
SURE_OF_NOTHING = {"inference": {"object_threshold": 0.05, "overlap_threshold": 0.1}}


@pytest.fixture(scope="module")
def task(shapes):
  return make_task(shapes, **SURE_OF_NOTHING)


@pytest.fixture(scope="module")
def trained(task, tmp_path_factory):
  """A model with weights that differ from image to image, and its checkpoint."""
  tf_keras.utils.set_random_seed(3)
  model = task.build_model()
  model.heads.classes.kernel.assign(model.heads.classes.kernel * 8)
  path = str(tmp_path_factory.mktemp("run") / "ckpt")
  return model, tf.train.Checkpoint(model=model).write(path)


@pytest.fixture(scope="module")
def evaluated(task, trained):
  """Image bytes of held-out examples with the segments that an evaluation finds."""
  model, _ = trained
  inputs = next(iter(task.build_inputs(task.task_config.validation_data)))
  outputs = task.validation_step(inputs, model)
  processing = post_processing(task.task_config, task.categories(task.task_config.validation_data))
  return [
    (
      inputs[0][row].numpy(),
      processing.segments(
        {key: outputs[key][row] for key in ("class_logits", "mask_logits")}, *[(64, 64)] * 3
      ),
    )
    for row in range(3)
  ]


def _equal(found, expected):
  np.testing.assert_array_equal(found[0], expected[0])
  np.testing.assert_array_equal(found[1], expected[1])
  np.testing.assert_allclose(found[2], expected[2], rtol=1e-4)


def test_segments_are_those_of_the_evaluation(task, trained, evaluated):
  categories = task.categories(task.task_config.validation_data)
  segmenter = MaskFormerSegmenter(task.task_config, trained[1], 2, categories)
  found = segmenter.segment([image for image, _ in evaluated])
  assert len(found) == 3
  for each, (_, expected) in zip(found, evaluated, strict=True):
    assert len(expected.classes) > 0
    _equal(each, expected)
  # Another size: the answer is in its pixels.
  other = segmenter.segment([np.zeros((40, 90, 3), np.uint8)])[0]
  assert other.ids.shape == (40, 90)


def test_the_exported_model_takes_bytes(task, trained, evaluated, tmp_path):
  categories = task.categories(task.task_config.validation_data)
  export(task.task_config, trained[1], [each.isthing for each in categories], str(tmp_path))
  served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
  image, expected = evaluated[0]
  outputs = served(image_bytes=tf.io.encode_png(image))
  assert sorted(outputs) == ["classes", "scores", "segments"]
  _equal([outputs[key].numpy() for key in ("segments", "classes", "scores")], expected)


def test_results_are_cocos_and_the_map_names_its_segments(tmp_path):
  ids = np.array([[0, 1, 2], [3, 3, 300]], np.int32)
  scores = np.full(300, 0.9, np.float32)
  scores[1] = 0.2
  found = Segmentation(ids, np.zeros(300, np.int32), scores)
  kept = segment_results.above(found, 0.5)
  # The second is gone, and those behind it move up.
  np.testing.assert_array_equal(kept.ids, [[0, 1, 0], [2, 2, 299]])
  row = segment_results.panoptic_row(kept, [Category(7, "cat", True)], 5, "a.png")
  assert (row["image_id"], row["file_name"], len(row["segments_info"])) == (5, "a.png", 299)
  assert row["segments_info"][1] == {"id": 2, "category_id": 7, "score": pytest.approx(0.9)}
  segment_results.write_map(kept, tmp_path / "a.png")
  pixels = np.asarray(Image.open(tmp_path / "a.png")).astype(int)
  np.testing.assert_array_equal(pixels @ [1, 256, 65536], kept.ids)
  segment_results.write_json([row], tmp_path / "panoptic.json")
  assert json.loads((tmp_path / "panoptic.json").read_text())["annotations"] == [row]


@pytest.fixture(scope="module")
def flags(shapes, trained):
  """Of `predict` and `export`, for the trained model."""
  size = {"output_size": [64, 64], "min_sizes": [64], "max_size": 64}
  data = {"input_path": f"{shapes}/val-*.tfrecord", **size}
  task = {"validation_data": data, **SURE_OF_NOTHING}
  return [
    "--experiment=maskformer_tiny_shapes",
    f"--checkpoint={trained[1]}",
    f"--params_override={json.dumps({'task': task})}",
  ]


def test_predict_writes_pictures_maps_and_results(flags, evaluated, tmp_path):
  image, expected = evaluated[0]
  exif = Image.Exif()
  exif[0x0112] = 6  # To be seen as it is, it is turned by a quarter to the right.
  Image.fromarray(np.rot90(image)).save(tmp_path / "12.png", exif=exif)
  output = tmp_path / "out"
  arguments = [*flags, f"--output={output}", "--score_threshold=0", str(tmp_path / "12.png")]
  assert predict.main(arguments) == 0
  (row,) = json.loads((output / "panoptic.json").read_text())["annotations"]
  assert (row["image_id"], row["file_name"]) == (12, "12.png")
  assert [each["id"] for each in row["segments_info"]] == list(range(1, len(expected.classes) + 1))
  # Ids as in the data set, not contiguous.
  assert {each["category_id"] for each in row["segments_info"]} <= {*THINGS, *STUFF}
  pixels = np.asarray(Image.open(output / "panoptic/12.png")).astype(int)
  np.testing.assert_array_equal(pixels @ [1, 256, 65536], expected.ids)
  width, height = Image.open(output / "12.jpg").size
  assert (width > height, height) == (True, 320)  # The legend stands at the right.


def test_export_writes_what_can_be_loaded(flags, tmp_path):
  export_tool.main([*flags, f"--output={tmp_path / 'exported'}"])
  assert "serving_default" in tf.saved_model.load(str(tmp_path / "exported")).signatures
  with pytest.raises(UserError, match="--format lite is none of maskformer"):
    export_tool.main([*flags, "--format=lite", "--output=y"])
