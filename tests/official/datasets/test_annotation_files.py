"""Bad input of every kind: named with file and id, and left out alone where that is asked for."""

import json

import pytest

from official.cli.errors import UserError
from official.datasets import coco
from official.datasets.problems import Problems


def load(folder, stop=True, instances=True, panoptic=False):
  folder.save()
  problems = Problems(stop)
  dataset = coco.load(
    folder.root / "instances.json" if instances else None,
    folder.root / "panoptic.json" if panoptic else None,
    problems,
    segmentations=True,
  )
  return dataset, problems.found


def ids(dataset):
  return {image.id: [thing.id for thing in image.objects] for image in dataset.images}


def test_good_files(folder):
  dataset, found = load(folder, panoptic=True)
  assert not found
  assert [(c.id, c.name, c.isthing) for c in dataset.categories] == [
    (5, "cat", True),
    (9, "dog", True),
    (100, "sky", False),
  ]
  assert ids(dataset) == {1: [11], 2: [12, 13], 3: []}
  thing = dataset.images[1].objects[0]
  assert (thing.category_id, thing.box, thing.area) == (9, (5, 6, 15.5, 13), 73.5)
  assert thing.segmentation == [[5, 6, 15.5, 6, 15.5, 13, 5, 13]]
  assert [s.id for s in dataset.images[2].panoptic.segments] == [131335, 768]


def test_things_of_a_panoptic_file_alone(folder):
  dataset, found = load(folder, instances=False, panoptic=True)
  assert not found
  assert ids(dataset) == {1: [131335], 2: [131335], 3: [131335]}
  thing = dataset.images[0].objects[0]
  assert (thing.category_id, thing.box, thing.area, thing.is_crowd) == (5, (0, 0, 40, 10), 400, 0)


def test_things_come_first(folder):
  for content, more in ((folder.instances, {}), (folder.panoptic, {"isthing": 1})):
    content["categories"].append({"id": 120, "name": "cow"} | more)
  dataset, _ = load(folder, panoptic=True)
  assert [category.id for category in dataset.categories] == [5, 9, 120, 100]


def spoil(**fields):
  return lambda rows: rows[1].update(fields)


def spoil_segment(**fields):
  return lambda rows: rows[1]["segments_info"][0].update(fields)


# What is spoiled in the list, the message, and which objects are left of {1: [11], 2: [12, 13]}.
ANNOTATIONS = [
  (spoil(category_id=6), "annotation id 12: category 6 is not in the table"),
  (spoil(bbox=[5, 6, 0, 7]), "annotation id 12: box .* has no area"),
  (spoil(bbox=[5, 6, 3, -7]), "annotation id 12: box .* has no area"),
  (spoil(bbox=[38, 6, 3.5, 7]), "annotation id 12: box .* lies outside the image of 40x30"),
  (spoil(bbox=[5, 24, 3, 8]), "annotation id 12: box .* lies outside the image of 40x30"),
  (spoil(bbox=[-2, 6, 10, 7]), "annotation id 12: box .* lies outside"),
  (spoil(bbox=[40.2, 6, 0.5, 7]), "annotation id 12: box .* has no area"),
  (spoil(bbox=[5, 6, 7]), "annotation id 12: box .* is not four numbers"),
  (spoil(bbox=[5, 6, 7, float("nan")]), "annotation id 12: box .* is not four numbers"),
  (spoil(bbox=None), "annotation id 12: box None is not four numbers"),
  (spoil(area=0), "annotation id 12: area 0 is not positive"),
  (spoil(area="9"), "annotation id 12: area '9' is not positive"),
  (spoil(iscrowd=2), "annotation id 12: iscrowd 2 is neither 0 nor 1"),
  (spoil(image_id=77), r"annotation id 12: image 77 is not in the list"),
  (spoil(id=11), "annotation id 11: the id is used twice"),
  (spoil(id="a"), "annotation id a: id 'a' is not an integer"),
  (lambda rows: rows[1].pop("bbox"), "annotation id 12: no field 'bbox'"),
  (lambda rows: rows[1].pop("segmentation"), "annotation id 12: no field 'segmentation'"),
  (lambda rows: rows.__setitem__(1, 5), r"annotation id \(none\): 5 is not an object"),
]


@pytest.mark.parametrize(("spoiler", "message"), ANNOTATIONS)
def test_bad_annotations(folder, spoiler, message):
  spoiler(folder.instances["annotations"])
  with pytest.raises(UserError, match=rf"^\S*instances\.json: {message}"):
    load(folder)
  dataset, found = load(folder, stop=False)
  assert len(found) == 1
  assert ids(dataset) == {1: [11], 2: [13], 3: []}


@pytest.mark.parametrize(
  ("box", "clipped"),
  [
    ([-0.5, 6, 10, 7], (0, 6, 9.5, 13)),
    ([30, 20, 10.9, 10.9], (30, 20, 40, 30)),
    ([0, 0, 40, 30], (0, 0, 40, 30)),
  ],
)
def test_a_pixel_outside_is_clipped(folder, box, clipped):
  folder.instances["annotations"][1]["bbox"] = box
  dataset, found = load(folder)
  assert not found
  assert dataset.images[1].objects[0].box == clipped


IMAGES = [
  (spoil(id=1), "image id 1: the id is used twice"),
  (spoil(height=0), "image id 2: the size 40x0 is not positive"),
  (spoil(width=39.5), "image id 2: width 39.5 is not an integer"),
  (spoil(file_name=""), "image id 2: file_name '' is not a name"),
  (lambda rows: rows[1].pop("height"), "image id 2: no field 'height'"),
]


@pytest.mark.parametrize(("spoiler", "message"), IMAGES)
def test_bad_images(folder, spoiler, message):
  spoiler(folder.instances["images"])
  with pytest.raises(UserError, match=rf"^\S*instances\.json: {message}"):
    load(folder)
  dataset, found = load(folder, stop=False)
  assert ids(dataset) == {1: [11], 3: []}
  assert len(found) == 3  # The image and its two annotations.
  assert "annotation id 12: image 2 is not in the list of (usable) images" in found[1]


SEGMENTS = [
  (spoil_segment(category_id=6), "category 6 is not in the table"),
  (spoil_segment(bbox=[0, 0, 50, 10]), "box .* lies outside"),
  (spoil_segment(id=768), "two segments have the same id"),
  (spoil(segments_info=5), "segments_info is not a list"),
  (lambda rows: rows[1].pop("file_name"), "no field 'file_name'"),
]


@pytest.mark.parametrize(("spoiler", "message"), SEGMENTS)
def test_bad_panoptic_annotations(folder, spoiler, message):
  spoiler(folder.panoptic["annotations"])
  with pytest.raises(
    UserError, match=rf"panoptic\.json: panoptic annotation of image id 2: {message}"
  ):
    load(folder, panoptic=True)
  dataset, found = load(folder, panoptic=True, stop=False)
  assert ids(dataset) == {1: [11], 3: []}
  assert "image id 2: no (usable) panoptic annotation" in found[1]


def test_panoptic_annotation_twice_or_missing(folder):
  folder.panoptic["annotations"][0]["image_id"] = 2
  with pytest.raises(UserError, match="image id 2: the image has two panoptic annotations"):
    load(folder, panoptic=True)
  dataset, found = load(folder, panoptic=True, stop=False)
  assert ids(dataset) == {2: [12, 13], 3: []}
  assert len(found) == 2


def test_an_object_of_a_stuff_category(folder):
  folder.instances["categories"].append({"id": 100, "name": "sky"})
  folder.instances["annotations"][1]["category_id"] = 100
  with pytest.raises(UserError, match="annotation id 12: category 100 'sky' is stuff"):
    load(folder, panoptic=True)


@pytest.mark.parametrize(
  ("table", "message"),
  [
    ([{"id": 5, "name": "cat"}, {"id": 5, "name": "dog"}], "category id 5 'dog' is in the table"),
    ([{"id": 5}], "no field 'name'"),
    ([{"id": "5", "name": "cat"}], "id '5' is not an integer"),
  ],
)
def test_a_bad_table_stops_even_where_skipping(folder, table, message):
  folder.instances["categories"] = table
  with pytest.raises(UserError, match=message):
    load(folder, stop=False)


def test_tables_of_the_two_files_must_agree(folder):
  folder.panoptic["categories"][0]["name"] = "wolf"
  with pytest.raises(UserError, match=r"panoptic\.json: category id 9 'wolf'"):
    load(folder, panoptic=True)


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ('{"images": [', r"instances\.json is not JSON: .* line 1 column 13"),
    ("[]", "has no list 'images'"),
    ('{"images": [], "annotations": {}}', "has no list 'annotations'"),
    ('{"images": [], "annotations": []}', "has no list 'categories'"),
  ],
)
def test_broken_json(tmp_path, text, message):
  (tmp_path / "instances.json").write_text(text)
  with pytest.raises(UserError, match=message):
    coco.load(tmp_path / "instances.json", None, Problems(stop=False))


def test_missing_files(tmp_path):
  with pytest.raises(UserError, match=r"cannot read .*gone\.json: No such file"):
    coco.load(tmp_path / "gone.json", None, Problems(stop=False))
  with pytest.raises(UserError, match="no annotations: give --instances"):
    coco.load(None, None, Problems(stop=False))


def test_the_real_panoptic_sample_against_its_detection_form(shared, tmp_path):
  """panopticapi's conversion of the same ground truth, its stuff left out, names the same boxes."""
  sample = shared / "data" / "coco_sample"
  detection = json.loads((sample / "panoptic_coco_detection_format.json").read_text())
  table = json.loads((sample / "panoptic_coco_categories.json").read_text())
  things = {row["id"] for row in table if row["isthing"]}
  for key, name in (("annotations", "category_id"), ("categories", "id")):
    detection[key] = [row for row in detection[key] if row[name] in things]
  (tmp_path / "instances.json").write_text(json.dumps(detection))
  given = coco.load(tmp_path / "instances.json", None, Problems(stop=True))
  derived = coco.load(None, sample / "panoptic_examples.json", Problems(stop=True))
  assert len(things) == 80
  assert [c for c in derived.categories if c.isthing] == list(given.categories)
  assert len(derived.categories) == 133
  for one, other in zip(given.images, derived.images, strict=True):
    rows = [
      sorted((t.category_id, t.box, t.area, t.is_crowd) for t in image.objects)
      for image in (one, other)
    ]
    assert rows[0] == rows[1]
    assert rows[0]
