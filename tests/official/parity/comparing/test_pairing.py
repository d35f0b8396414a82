"""Which tap is whose, by rules and names alone."""

import pytest

from official.cli.errors import UserError
from official.parity.case import TapRule
from official.parity.comparing.pairing import pair_taps, split

EVERYTHING = (TapRule("{path*}", "{path*}"),)


def names(pairing):
  return [(pair.reference, pair.candidate) for pair in pairing.pairs]


def test_pairs_are_in_the_candidates_order_and_have_their_layout():
  rules = (TapRule("layers.{i}", "block{i}", "b c h w -> b h w c"), TapRule("(model)", "(model)"))
  found = pair_taps(rules, ["layers.0", "layers.1", "(model)"], ["block1", "block0", "(model)"])
  assert names(found) == [
    ("layers.1", "block1"),
    ("layers.0", "block0"),
    ("(model)", "(model)"),
  ]
  assert [pair.layout for pair in found.pairs] == ["b c h w -> b h w c"] * 2 + [""]
  assert not found.reference_only
  assert not found.candidate_only
  assert not found.stale


def test_the_first_rule_that_matches_counts():
  rules = (TapRule("head", "other"), *EVERYTHING)
  found = pair_taps(rules, ["head", "body"], ["other", "body", "head"])
  assert names(found) == [("head", "other"), ("body", "body")]
  assert found.candidate_only == {"head": "no rule leads to it"}


def test_unpaired_taps_are_listed_with_what_is_near():
  found = pair_taps((TapRule("norm", "norm"),), ["norm", "layer.conv1"], ["norm", "layer/conv1"])
  assert names(found) == [("norm", "norm")]
  assert found.reference_only == {"layer.conv1": "no rule matches it; did you mean 'layer/conv1'?"}
  assert found.candidate_only == {"layer/conv1": "no rule leads to it; did you mean 'layer.conv1'?"}


def test_a_rule_that_leads_nowhere_pairs_nothing():
  found = pair_taps((TapRule("conv", "convv"),), ["conv"], ["conv"])
  assert not found.pairs
  assert found.reference_only == {
    "conv": "its rule says 'convv', which is no tap; did you mean 'conv'?"
  }


def test_two_taps_do_not_share_a_pair():
  rules = (TapRule("{name}", "out"),)
  found = pair_taps(rules, ["a", "b"], ["out"])
  assert names(found) == [("a", "out")]
  assert found.reference_only == {"b": "'out' is the pair of 'a' already"}


def test_stale_rules():
  shadowed, unused = TapRule("a", "b"), TapRule("c", "c")
  found = pair_taps((TapRule("{x}", "{x}"), shadowed, unused), ["a"], ["a"])
  assert found.stale == (shadowed, unused)


def test_calls_and_outputs_follow_their_module():
  found = pair_taps(
    (TapRule("att.{i}", "attention{i}"),),
    ["att.0", "att.0#1", "att.0:1", "att.0#1:weights"],
    ["attention0", "attention0#1", "attention0:1", "attention0#1:weights"],
  )
  assert len(found.pairs) == 4
  assert not found.reference_only


def test_a_rule_for_an_output_comes_before_one_for_its_module():
  rules = (TapRule("{path*}", "{path*}"), TapRule("head:boxes", "head:box"))
  found = pair_taps(rules[::-1], ["head:boxes", "head:logits"], ["head:box", "head:logits"])
  assert names(found) == [("head:boxes", "head:box"), ("head:logits", "head:logits")]


@pytest.mark.parametrize(
  ("name", "parts"),
  [
    ("a/b", ("a/b", "")),
    ("a.b#1", ("a.b", "#1")),
    ("(model):x", ("(model)", ":x")),
    ("a#2:x.0", ("a", "#2:x.0")),
  ],
)
def test_split(name, parts):
  assert split(name) == parts


def test_a_malformed_pattern_is_refused():
  with pytest.raises(UserError):
    pair_taps((TapRule("{", "x"),), ["a"], ["a"])
