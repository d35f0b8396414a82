"""Weights, inputs and names that parity's recordings rest on."""

import google_crc32c
import numpy as np
import pytest

from official.checkpoints import patterns
from official.cli.errors import UserError
from official.parity.comparing.excuses import Excuses
from official.parity.comparing.pairing import pair_taps
from official.parity.keys import Key
from official.parity.recording.reader import Recording
from projects.maskformer.modeling.variants import VARIANTS
from projects.maskformer.reference import original_names, recorded
from projects.maskformer.reference.batch import batch
from projects.maskformer.reference.correspondence import taps, weights
from projects.maskformer.reference.numbers import symmetric, uniform
from projects.maskformer.reference.weights import draw

CHECKSUM = 0xBA07BA6E  # Of 1,000 numbers.
PARAMETERS = 45_012_038  # Of facebookresearch's COCO R50, counted by its own `analyze_model`.


def test_numbers_are_the_same_bits_everywhere():
  drawn = uniform((3,), 0, "a")
  assert drawn.tolist() == uniform((3,), 0, "a").tolist()
  assert google_crc32c.value(uniform((1000,), 7, "w").tobytes()) == CHECKSUM
  assert (uniform((2, 2), 0, "a").reshape(-1)[:3] == drawn).all()
  assert (uniform((3,), 0, "b") != drawn).all()
  assert (uniform((3,), 1, "a") != drawn).all()


def test_numbers_have_the_moments_that_are_said():
  x = symmetric((100_000,), 0, "x")
  assert abs(x.mean()) < 0.02
  assert x.var() == pytest.approx(1, abs=0.02)
  assert np.abs(x).max() <= 3**0.5


def test_weights_hide_nothing():
  shapes = {
    "layer.weight": (64, 32, 3, 3),
    "layer.bias": (64,),
    "norm.weight": (64,),
    "norm.running_var": (64,),
    "a.self_attn.out_proj.weight": (64, 64),
  }
  drawn = draw(shapes, 0)
  for name, array in drawn.items():
    assert array.shape == shapes[name]
    assert len(np.unique(array)) == array.size
    assert not np.isin(array, (0, 1)).any()
  assert drawn["norm.running_var"].min() > 0.4
  spread = drawn["layer.weight"].std() * (32 * 9) ** 0.5
  assert spread == pytest.approx(1.25, rel=0.02)
  assert drawn["a.self_attn.out_proj.weight"].std() * 8 == pytest.approx(0.2, rel=0.05)
  alone = draw({"norm.weight": (64,)}, 0)
  np.testing.assert_array_equal(alone["norm.weight"], drawn["norm.weight"])


def test_segments_do_not_overlap_and_padding_is_empty():
  made = batch(133, 5)
  masks, valid = made["masks"], made["valid"]
  assert valid.sum(1).tolist() == [7, 3]
  assert masks.sum(1).max() == 1
  assert (masks.reshape(2, 8, -1).any(-1) == valid).all()
  assert ((made["classes"] >= 0) == valid).all()
  assert made["classes"].max() < 133
  assert not np.array_equal(made["images"], batch(133, 6)["images"])


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
  folder = tmp_path_factory.mktemp("recorded")
  return Recording(recorded.restore("coco-r50", 133, "float64", 0, folder))


class TestRecording:
  def test_it_is_of_the_whole_network(self, recording):
    parameters = recording.section("init", "parameter")
    assert sum(array.size for array in parameters.values()) == PARAMETERS
    assert len(recording.names("train", "gradient")) == len(parameters)
    assert len(recording.names("train", "loss")) == 3 * 6 + 1
    for step in range(1, 11):
      assert len(recording.names(f"step{step}", "parameter")) == len(parameters)
      assert len(recording.names(f"step{step}", "slot")) == 2 * len(parameters)

  def test_the_rate_falls_after_six_steps(self, recording):
    rates = [
      float(recording.read(Key(f"step{step}", "rate", "learning_rate"))) for step in range(11)
    ]
    assert rates == pytest.approx([1e-4] * 6 + [1e-5] * 5)

  def test_every_name_has_a_pair_or_an_excuse(self, recording):
    table = original_names.table(VARIANTS["r50_encoder"])
    rules, excuses = taps(table), Excuses(original_names.EXCUSES)
    names = [tap.name for tap in recording.taps("train")]
    pairing = pair_taps(rules, names, [])
    unmatched = [n for n, why in pairing.reference_only.items() if why.startswith("no rule")]
    assert [name for name in unmatched if not excuses.reason("output", name)] == []
    assert pairing.stale == ()

  def test_every_weight_goes_somewhere_once(self, recording):
    rules = weights(original_names.table(VARIANTS["r50_encoder"]))
    for section in ("parameter", "buffer"):
      for name in recording.names("init", section):
        found = [rule for rule in rules if patterns.match(rule.source, name) is not None]
        assert len(found) == (3 if "in_proj" in name else 1), name

  def test_queries_stay_apart(self, recording):
    # Of queries that collapse (0.3 % under weights of gain 1) figures would all be the same.
    samples = recording.statistics(Key("eval", "output", "(model):pred_logits")).samples
    assert samples.std() > 0.5

  def test_other_seeds_are_not_recorded(self, tmp_path):
    with pytest.raises(UserError, match="recorded with the seed 0 alone, not with 1"):
      recorded.restore("coco-r50", 133, "float64", 1, tmp_path)
