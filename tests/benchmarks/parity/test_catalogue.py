"""The catalogue is what the bars ask for; a sample of it is found by the checker."""

import collections

import pytest

from benchmarks.parity import catalogue, table
from benchmarks.parity.cases.all import CASES, case
from benchmarks.parity.defects.planting import attributes, exchanged, written_as
from benchmarks.parity.judge import Clean, Judgement, judge, stages_until
from benchmarks.parity.table import Totals
from official.parity.case import PRECISIONS, STAGES
from official.parity.diagnosis.causes import CAUSES

SAMPLE = (
  "LayerNorm epsilon 1e-6 at encoder_layer:attention_norm",
  "mask inverted at attention:",
  "square kernel not transposed at attention:query",
  "bias added twice at mlp_head:fc1",
  "four patches merged row by row at patch_merging:",
  "columns encoded before rows at sine_position:",
  "SAME padding at stride 2 at resnet_stage:block0/conv/conv",
  "BatchNorm momentum 0.99 at resnet_stage:block0/reduce/norm",
  "relative positions without gradient at swin_block:attention",
  "nearest pixel by centres at pixel_decoder:step1",
)


def test_the_catalogue_is_large_and_deep_enough():
  names = collections.Counter(defect.name for defect in catalogue.DEFECTS)
  assert sum(count >= 2 for count in names.values()) >= 60
  assert len({(d.name, d.case, d.layer) for d in catalogue.DEFECTS}) == len(catalogue.DEFECTS)
  assert len(catalogue.CLEAN) >= 50
  assert {precision for _, _, precision, _ in catalogue.CLEAN} == set(PRECISIONS)
  assert len({seed for *_, seed in catalogue.CLEAN}) >= 3


def test_every_cause_is_planted_and_every_place_exists():
  assert {defect.cause for defect in catalogue.DEFECTS} == set(CAUSES)
  assert {defect.case for defect in catalogue.DEFECTS} <= set(CASES)
  assert {defect.stage for defect in catalogue.DEFECTS} <= set(STAGES)


@pytest.mark.parametrize("title", SAMPLE)
def test_planted_defects_are_caught_placed_and_explained(title):
  defect = catalogue.BY_TITLE[title]
  judgement = judge(defect, case(defect.case), seed=3)
  assert judgement.caught, judgement
  assert judgement.located, judgement
  assert judgement.explained, judgement


def test_a_run_stops_at_the_stage_of_the_defect():
  assert stages_until("forward") == ("structure", "forward")
  assert stages_until("trajectory") == STAGES[:6]
  assert stages_until("preprocess") == ("structure", "preprocess")


def test_planting_refuses_what_would_change_nothing():
  clean = case("mlp_head")
  with pytest.raises(AttributeError, match="no attribute 'epsilom'"):
    attributes("fc1", epsilom=1)(clean).candidate("float64")
  with pytest.raises(TypeError, match="is no Dense"):
    written_as("fc1", type("Other", (), {}))(clean).candidate("float64")


def test_exchanging_weights_touches_these_two_alone():
  clean = case("mlp_head")
  rules = {rule.source: rule.target for rule in exchanged(("0.0.bias", "1.0.bias"))(clean).weights}
  assert rules["0.0.bias"] == "fc1/bias"
  assert rules["1.0.bias"] == "fc0/bias"
  assert rules["0.0.weight"] == "fc0/kernel"
  assert len(rules) == 6


def judgement(**changes):
  right = {"caught_at": "forward", "blamed": "norm", "causes": ("padding",)}
  wanted = {"title": "t", "name": "n", "case": "c", "layer": "norm", "cause": "padding"}
  return Judgement(**wanted, stage="forward", **right | changes)


def test_judgements():
  assert judgement().caught
  assert judgement().located
  assert judgement().explained
  late = judgement(caught_at="gradients")
  assert [late.caught, late.located, late.explained] == [False] * 3
  assert not judgement(blamed="norm2").located
  assert judgement(blamed="norm2").explained
  assert not judgement(causes=("stride_or_dilation", "padding")).explained
  assert not judgement(causes=()).explained


def test_the_bars():
  good, clean = [judgement()] * 100, [Clean("c", "float64", 1)]
  assert Totals.of(good, clean).passes
  assert not Totals.of(good[1:] + [judgement(caught_at="")], clean).passes
  assert Totals.of(good[5:] + [judgement(blamed="x")] * 5, clean).passes
  assert not Totals.of(good[6:] + [judgement(blamed="x")] * 6, clean).passes
  assert Totals.of(good[20:] + [judgement(causes=())] * 20, clean).passes
  assert not Totals.of(good[21:] + [judgement(causes=())] * 21, clean).passes
  assert not Totals.of(good, [Clean("c", "float64", 1, alarm="loss")]).passes


def test_the_page_shows_what_was_missed():
  rows = [judgement(), judgement(blamed="other", causes=("dropout_active",))]
  page = table.page(rows, [Clean("c", "float32", 1, alarm="loss total: 2.0e-9")], causes=55)
  assert "| caught, at the right stage | 2 of 2 (100.0%) | 100 % |" in page
  assert "| exact layer named first | 1 of 2 (50.0%) | ≥ 95 % |" in page
  assert "| n | c | `norm` | forward | ✓ | ✗ `other` | ✗ dropout_active, is padding |" in page
  assert "| c | float32 | 1 | loss total: 2.0e-9 |" in page
