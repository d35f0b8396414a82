"""The order of Darknet's layers against that of our rows."""

import dataclasses

import pytest

from official.checkpoints.rules import Rule
from official.parity.case import TapRule
from projects.yolo.modeling.darknet.cfg_file import read_cfg
from projects.yolo.modeling.rows import Row, conv
from projects.yolo.modeling.tables.darknet import DARKNET
from projects.yolo.modeling.tables.scaled import SCALED
from projects.yolo.reference.correspondence import of_variant
from projects.yolo.reference.darknet import CFG

VARIANTS = DARKNET | SCALED  # Those with a `.cfg`.


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


def ours(table):
  """Row and sources of each layer of `table`, by path; what only hands on is left out."""
  graph, where = {}, {"image": "image"}
  for part, rows, last in (
    ("backbone", table.backbone, "image"),
    ("decoder", table.decoder, f"c{table.levels[-1]}"),
  ):
    for row in rows:
      sources = [where[name] for name in row.inputs or (last,)]
      where[row.name] = sources[0] if row.kind == "linear" else f"{part}/{row.name}"
      if row.kind != "linear":
        graph[where[row.name]] = (row, sources)
      last = row.name
  for level, filters in table.head.items():
    path = f"head/p{level}"
    outputs = 85 * len(table.anchors[level])
    graph[f"{path}/conv"] = (conv("", filters), [where[f"p{level}"]])
    graph[f"{path}/output"] = (conv("", outputs, 1), [f"{path}/conv"])
    graph[f"{path}/split"] = (Row("", str(level)), [f"{path}/output"])
  return graph


def theirs(section, index):
  """Numbers of the layers that `section` reads, in its order."""
  named = {"route": "layers", "shortcut": "from"}.get(section.kind)
  far = [i if i >= 0 else index + i for i in section.integers(named)] if named else []
  return far if section.kind == "route" else [index - 1, *far]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_row_is_its_layer_and_reads_what_that_reads(variant):
  table, every = VARIANTS[variant], sections(variant)
  graph = ours(table)
  taps = (dataclasses.astuple(tap)[:2] for tap in of_variant(table, every).taps)
  places = {int(source[7:]): path for source, path in taps if source[7:].isdigit()}
  assert sorted(places.values()) == sorted(graph)

  def path(index):
    if index < 0:
      return "image"
    return places[index] if index in places else path(theirs(every[index], index)[0])

  for index, own in places.items():
    section, (row, sources) = every[index], graph[own]
    assert sources == [path(i) for i in theirs(section, index)], own
    if section.kind == "convolutional":
      size = [section.integer(name, 1) for name in ("filters", "size", "stride")]
      assert size == [row.args[name] for name in ("filters", "kernel_size", "strides")], own
      part = table.activation if own.startswith("backbone") else table.pyramid_activation
      raw = "logistic" if table.coordinates == "scaled" else "linear"
      kind = raw if own.endswith("/output") else part or table.activation
      assert section.options["activation"].text == kind, own
    elif section.kind == "maxpool":
      size = [section.integer(name) for name in ("size", "stride")]
      assert size == [row.args[name] for name in ("size", "strides")], own
    elif section.kind == "yolo":
      sides = section.numbers("anchors")
      pairs = tuple((sides[2 * i], sides[2 * i + 1]) for i in section.integers("mask"))
      assert table.anchors[int(row.kind)] == pairs
      assert table.scale_xy[int(row.kind)] == section.number("scale_x_y", 1)
      assert table.coordinates == ("scaled" if "new_coords" in section.options else "exponential")


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_input_is_as_large(variant):
  net = read_cfg(CFG / f"yolo{variant}.cfg")[0]
  assert net.integer("width") == net.integer("height") == VARIANTS[variant].input_size


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
