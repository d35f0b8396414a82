"""Panoptic quality against panopticapi's recorded figures, hotcoco, and hand counts."""

import contextlib
import io
import pathlib

import hotcoco.panoptic
import numpy as np
import pytest

from official.evaluation.panoptic import PanopticMap, PanopticQuality
from tests.official.evaluation.scenes import THINGS, Scene, all_scenes, random_scene, write

GROUPS = ("", "_things", "_stuff")
FIGURES = ("PQ", "SQ", "RQ")


@pytest.fixture(scope="module")
def recorded():
  with np.load(pathlib.Path(__file__).parent / "panoptic.npz") as file:
    return dict(file)


@pytest.fixture(scope="module")
def scenes(recorded):
  count = sum(key.endswith("truth/places") for key in recorded)
  return [Scene(*(_map(recorded, f"{i}/{side}") for side in Scene._fields)) for i in range(count)]


def _map(recorded, key):
  segments, classes, crowd = recorded[f"{key}/segments"].T
  ids = np.concatenate([[0], segments])[recorded[f"{key}/places"]]
  return PanopticMap(ids, segments, classes, crowd)


def _quality(scenes, first=0):
  quality = PanopticQuality(THINGS)
  for image_id, scene in enumerate(scenes, first):
    quality.add(image_id, *scene)
  return quality


def _figures(quality):
  figures = quality.evaluate()
  return [[figures[name + group] for name in FIGURES] for group in GROUPS]


def _table(quality):
  table = quality.per_class()
  return np.stack([table[name] for name in FIGURES], axis=1)


def test_each_scene_equals_panopticapi(scenes, recorded):
  assert len(scenes) == 38
  for place, scene in enumerate(scenes):
    quality = _quality([scene])
    np.testing.assert_array_equal(_figures(quality), recorded[f"{place}/figures"][:, :3])
    np.testing.assert_array_equal(_table(quality), recorded[f"{place}/per_class"])


def test_all_scenes_together_equal_panopticapi(scenes, recorded):
  quality = _quality(scenes)
  np.testing.assert_array_equal(_figures(quality), recorded["all/figures"][:, :3])
  np.testing.assert_array_equal(_table(quality), recorded["all/per_class"])
  assert 0.2 < quality.evaluate()["PQ"] < 0.9
  table = quality.per_class()
  present = table["TP"] + table["FP"] + table["FN"] > 0
  counts = [present.sum(), (present & THINGS).sum(), (present & ~THINGS).sum()]
  np.testing.assert_array_equal(counts, recorded["all/figures"][:, 3])


@pytest.mark.parametrize("seed", range(3))
def test_random_maps_equal_hotcoco(seed, tmp_path):
  rng = np.random.default_rng(seed)
  scenes = [random_scene(rng) for _ in range(20)]
  with contextlib.redirect_stdout(io.StringIO()):
    want = hotcoco.panoptic.pq_compute(*map(str, write(scenes, tmp_path)))
  got = _quality(scenes)
  groups = [want[name] for name in ("All", "Things", "Stuff")]
  # hotcoco adds up in another order, so that last digits differ.
  same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-14)
  same(_figures(got), [[x["pq"], x["sq"], x["rq"]] for x in groups])
  table = got.per_class()
  for place in np.flatnonzero(table["TP"] + table["FP"] + table["FN"]).tolist():
    per_class = want["per_class"][place]
    same([table[name][place] for name in FIGURES], [per_class[x] for x in ("pq", "sq", "rq")])
    assert [table[name][place] for name in ("TP", "FP", "FN")] == [
      per_class[name] for name in ("tp", "fp", "fn")
    ]


def test_the_recorded_scenes_are_made_of_the_sample(shared, scenes):
  for got, want in zip(scenes, all_scenes(shared / "data/coco_sample"), strict=True):
    for side in Scene._fields:
      np.testing.assert_array_equal(getattr(got, side).ids, getattr(want, side).ids)


def test_merged_workers_equal_one(scenes):
  whole = _quality(scenes)
  workers = [PanopticQuality(THINGS) for _ in range(3)]
  for place, scene in enumerate(scenes):
    workers[place % 3].add(place, *scene)
  workers[2].add(0, *scenes[0])  # Two workers had the first image.
  merged = PanopticQuality(THINGS)
  other = PanopticQuality(THINGS)
  other.add(0, *scenes[20])  # Comes last, and so does not count.
  for worker in (workers[2], workers[0], workers[1], other):
    merged.merge(worker.state())
  assert merged.evaluate() == whole.evaluate()
  assert {name: x.tolist() for name, x in merged.per_class().items()} == {
    name: x.tolist() for name, x in whole.per_class().items()
  }


def test_repeated_images_do_not_count(scenes):
  quality = _quality(scenes[:5])
  before = quality.evaluate()
  quality.add(3, *scenes[20])
  assert quality.evaluate() == before
  empty = np.zeros((4, 4), int)
  quality.add(99, PanopticMap(empty, [], []), PanopticMap(empty, [], []))
  state = quality.state()
  again = PanopticQuality(THINGS)
  again.merge(state)
  again.add(99, *scenes[20])
  assert again.evaluate() == before
  again.reset()
  again.add(99, *scenes[20])
  assert again.evaluate() == _quality([scenes[20]]).evaluate()


def _line(truth, found, things=(True, False)):
  """One row of pixels; segments (id, class, crowd) of both."""
  quality = PanopticQuality(things)
  (ids, rows), (found_ids, found_rows) = truth, found
  columns = list(zip(*rows, strict=True)) or [(), (), ()]
  found_columns = list(zip(*found_rows, strict=True)) or [(), ()]
  quality.add(
    1, PanopticMap(np.array([ids]), *columns), PanopticMap(np.array([found_ids]), *found_columns)
  )
  table = quality.per_class()
  return {name: table[name].tolist() for name in ("TP", "FP", "FN")}, quality.evaluate()


def test_perfect_and_half():
  # Of class 0 a perfect match; class 1's prediction overlaps by 2 of 4: exactly a half, no match.
  truth = [1, 1, 1, 2, 2, 2], [(1, 0, False), (2, 1, False)]
  found = [7, 7, 7, 9, 9, 0], [(7, 0), (9, 1)]
  counts, figures = _line(truth, found)
  assert counts == {"TP": [1, 1], "FP": [0, 0], "FN": [0, 0]}
  assert figures["PQ"] == (1 + 2 / 3) / 2
  assert figures["PQ_things"] == figures["RQ"] == 1
  counts, figures = _line(truth, ([7, 7, 7, 9, 9, 8], [(7, 0), (9, 1), (8, 0)]))
  assert counts == {"TP": [1, 1], "FP": [1, 0], "FN": [0, 0]}
  assert figures["PQ_things"] == 1 / 1.5
  counts, figures = _line(([1, 1, 1, 2, 2, 2], truth[1]), ([7, 7, 7, 9, 0, 0], [(7, 0), (9, 1)]))
  assert counts == {"TP": [1, 0], "FP": [0, 1], "FN": [0, 1]}
  assert figures["SQ_stuff"] == figures["PQ_stuff"] == 0


def test_an_overlap_of_exactly_a_half_is_no_match():
  truth = [1, 1, 1, 1, 0, 0], [(1, 0, False)]
  counts, _ = _line(truth, ([5, 5, 0, 0, 0, 0], [(5, 0)]))
  assert counts == {"TP": [0, 0], "FP": [1, 0], "FN": [1, 0]}


def test_void_does_not_enlarge_the_union():
  truth = [1, 1, 0, 0, 0, 2], [(1, 0, False), (2, 1, False)]
  _, figures = _line(truth, ([5, 5, 5, 5, 0, 6], [(5, 0), (6, 1)]))
  assert figures["PQ"] == 1


def test_a_prediction_by_more_than_half_on_void_is_not_false():
  truth = [0, 0, 0, 1, 1, 1], [(1, 1, False)]
  assert _line(truth, ([5, 5, 5, 5, 5, 0], [(5, 0)]))[0]["FP"] == [0, 0]
  assert _line(truth, ([0, 5, 5, 5, 5, 0], [(5, 0)]))[0]["FP"] == [1, 0]  # Exactly a half.


def test_only_the_crowd_of_its_own_class_excuses_a_prediction():
  truth = [1, 1, 1, 1, 2, 2], [(1, 0, True), (2, 1, False)]
  counts, figures = _line(truth, ([5, 5, 5, 0, 6, 6], [(5, 0), (6, 1)]))
  assert counts == {"TP": [0, 1], "FP": [0, 0], "FN": [0, 0]}
  assert figures["PQ_things"] == -1, "no thing is there to be found"
  counts, _ = _line(truth, ([5, 5, 5, 0, 6, 6], [(5, 1), (6, 1)]))
  assert counts == {"TP": [0, 1], "FP": [0, 1], "FN": [0, 0]}


def test_void_and_crowd_together_excuse():
  truth = [0, 0, 1, 1, 2, 2, 2], [(1, 0, True), (2, 1, False)]
  found = [5, 5, 5, 5, 5, 5, 5], [(5, 0)]
  assert _line(truth, found)[0] == {"TP": [0, 0], "FP": [0, 0], "FN": [0, 1]}


def test_of_two_crowds_of_a_class_the_last_listed_counts():
  ids, found = [2, 2, 2, 1, 1, 1], ([5, 5, 5, 0, 0, 0], [(5, 0)])
  assert _line((ids, [(1, 0, True), (2, 0, True)]), found)[0]["FP"] == [0, 0]
  assert _line((ids, [(2, 0, True), (1, 0, True)]), found)[0]["FP"] == [1, 0]


def test_a_listed_segment_without_pixels_is_missed():
  truth = [1, 1, 1, 1], [(1, 0, False), (2, 1, False)]
  assert _line(truth, ([5, 5, 5, 5], [(5, 0)]))[0]["FN"] == [0, 1]


def test_nothing_at_all():
  counts, figures = _line(([0, 0], []), ([0, 0], []))
  assert counts == {"TP": [0, 0], "FP": [0, 0], "FN": [0, 0]}
  assert set(figures.values()) == {-1.0}
  assert set(PanopticQuality([True]).evaluate().values()) == {-1.0}


@pytest.mark.parametrize(
  ("found", "message"),
  [
    (([5, 5, 6], [(5, 0)]), "6 that is not listed"),
    (([5, 5, 0], [(5, 0), (6, 0)]), "6 has no pixel"),
    (([5, 5, 5], [(5, 2)]), "class is not one of 0 to 1"),
    (([5, 5, 5], [(5, -1)]), "class is not one of 0 to 1"),
    (([5, 5, 5], [(5, 0), (5, 1)]), "stands twice"),
    (([5, 5, 0], [(5, 0), (0, 1)]), "not above 0"),
    (([5, 5], [(5, 0)]), "sizes"),
  ],
)
def test_broken_predictions(found, message):
  with pytest.raises(ValueError, match=message):
    _line(([1, 1, 1], [(1, 0, False)]), found)


def test_types_of_ids_do_not_matter(scenes):
  want = _quality(scenes[:3]).evaluate()
  for dtype in (np.uint32, np.int32, np.int64):
    same = [
      Scene(*(PanopticMap(x.ids.astype(dtype), x.segments, x.classes, x.is_crowd) for x in scene))
      for scene in scenes[:3]
    ]
    assert _quality(same).evaluate() == want
