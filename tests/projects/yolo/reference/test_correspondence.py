"""The order of Darknet's layers against that of our rows."""

import pytest

from official.checkpoints.rules import Rule
from official.parity.case import TapRule
from projects.yolo.modeling.darknet.cfg_file import read_cfg
from projects.yolo.modeling.variants import VARIANTS
from projects.yolo.reference.correspondence import of_variant
from projects.yolo.reference.darknet import CFG


def sections(name):
  return read_cfg(CFG / f"yolo{name}.cfg")[1:]


# Numbers of layers as Darknet prints them for its own `.cfg` files.
@pytest.mark.parametrize(
  ("variant", "places"),
  [
    ("v3-tiny", {0: "backbone/stem", 13: "decoder/p5", 16: "head/p5/split", 20: "decoder/p4"}),
    ("v4-tiny", {3: "backbone/c2/half", 9: "backbone/c2/pool", 23: "backbone/c4/csp/merge"}),
    (
      "v4-csp",
      {
        0: "backbone/stem",
        4: "backbone/c1",
        104: "decoder/n5/spp/pool5",
        108: "decoder/n5/spp/pool13",
        109: "decoder/n5/spp",
        113: "decoder/n5",
        144: "head/p3/split",
        174: "head/p5/split",
      },
    ),
  ],
)
def test_layers_stand_where_darknet_has_them(variant, places):
  rules = of_variant(VARIANTS[variant], sections(variant))
  for index, path in places.items():
    assert TapRule(f"layers.{index}", path) in rules.taps


def test_every_weight_has_a_rule_and_every_output_its_place():
  rules = of_variant(VARIANTS["v3-tiny"], sections("v3-tiny"))
  targets = [rule.target for rule in rules.weights if isinstance(rule, Rule)]
  assert len(targets) == len(set(targets)) == 11 * 5 + 2 * 2
  assert Rule("layers.22.conv.bias", "head/p4/output/bias") in rules.weights
  assert Rule("layers.0.norm.running_var", "backbone/stem/norm/moving_variance") in rules.weights


@pytest.mark.parametrize(
  ("variant", "cfg", "message"),
  [
    ("v3-tiny", "v4-tiny", "layer 1 is a convolutional, but ours is backbone/stem/pool"),
    ("v4-csp", "v4-tiny", "layer 3 is a route, but ours is backbone/c1/conv"),
  ],
)
def test_networks_of_other_layers_do_not_correspond(variant, cfg, message):
  with pytest.raises(ValueError, match=message):
    of_variant(VARIANTS[variant], sections(cfg))


def test_networks_of_fewer_or_more_layers_do_not_correspond():
  every = sections("v3-tiny")
  with pytest.raises(ValueError, match="ours goes on with head/p4/split"):
    of_variant(VARIANTS["v3-tiny"], every[:-1])
  with pytest.raises(ValueError, match="layer 24 is a yolo, but ours is nothing"):
    of_variant(VARIANTS["v3-tiny"], [*every, every[-1]])
