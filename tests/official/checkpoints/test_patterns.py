"""Patterns match what they say and nothing else, and filling undoes matching."""

import pytest

from official.checkpoints.patterns import field_names, fill, match
from official.cli.errors import UserError


@pytest.mark.parametrize(
  ("pattern", "name", "fields"),
  [
    ("head.weight", "head.weight", {}),
    ("head.weight", "headXweight", None),
    ("head.weight", "head.weight.0", None),
    ("head.weight", "my.head.weight", None),
    ("a+b", "a+b", {}),
    ("layers.{i}.conv", "layers.12.conv", {"i": "12"}),
    ("layers.{i}.conv", "layers..conv", None),
    ("layers.{i}.conv", "layers.1.2.conv", None),
    ("layers/{i}/conv", "layers/1/2/conv", None),
    ("layers.{path*}.conv", "layers.1.2/x.conv", {"path": "1.2/x"}),
    ("{path*}", "", None),
    ("{path*}", "a\nb", {"path": "a\nb"}),
    ("stage{s}/block{b}/conv", "stage1/block2/conv", {"s": "1", "b": "2"}),
    ("{i}.x.{i}", "3.x.3", {"i": "3"}),
    ("{i}.x.{i}", "3.x.4", None),
    ("{a}_{b}", "x_y_z", {"a": "x_y", "b": "z"}),
    ("conv{i}#1:2", "conv3#1:2", {"i": "3"}),
    ("{a*}.{a*}", "x.y.x.y", {"a": "x.y"}),
    ("stage{i+1}", "stage10", {"i": "9"}),
    ("stage{i+1}", "stage1", {"i": "0"}),
    ("stage{i+1}", "stage0", None),
    ("stage{i+1}", "stage01", None),
    ("stage{i+1}", "stagex", None),
    ("stage{i+1}", "stage1/2", None),
    ("stage{i-2}", "stage0", {"i": "2"}),
    ("{i}.norm{i+1}", "3.norm4", {"i": "3"}),
    ("{i}.norm{i+1}", "3.norm3", None),
    ("norm{i+1}.{i}.{i+1}", "norm4.3.4", {"i": "3"}),
    ("norm{i+1}.{i+1}", "norm4.5", None),
  ],
)
def test_matches_by_hand(pattern, name, fields):
  assert match(pattern, name) == fields
  if fields is not None:
    assert fill(pattern, fields) == name


def test_fields_are_named_once_in_order():
  assert field_names("{b}.{a*}.{b}") == ("b", "a")
  assert field_names("plain") == ()


def test_fill_writes_the_fields_of_another_pattern():
  fields = match("layer{s}.{b}.conv1.weight", "layer2.0.conv1.weight")
  assert fill("stage{s}/block{b}/conv1/kernel", fields) == "stage2/block0/conv1/kernel"


def test_fill_takes_text_literally():
  assert fill("x/{i}", {"i": r"\1{i}"}) == r"x/\1{i}"


@pytest.mark.parametrize(
  "pattern", ["{", "}", "{}", "{1a}", "{a b}", "{a**}", "x{a", "{a}{b}", "{a+}", "{a+b}", "{a*+1}"]
)
def test_malformed_patterns_are_refused(pattern):
  for use in (lambda: match(pattern, "x"), lambda: field_names(pattern)):
    with pytest.raises(UserError) as error:
      use()
    assert f"'{pattern}'" in str(error.value)
    assert "\n" not in str(error.value)


def test_fill_without_a_field_is_refused():
  with pytest.raises(UserError, match=r"uses field 'j'.*known are: i"):
    fill("{i}.{j}", {"i": "1"})


def test_fill_counts_from_elsewhere():
  assert fill("stage{i+1}/{i}", {"i": "9"}) == "stage10/9"
  assert fill("stage{i-1}", {"i": "1"}) == "stage0"


@pytest.mark.parametrize("value", ["x", "01", "0", ""])
def test_fill_counts_only_numbers(value):
  with pytest.raises(UserError, match=r"'\{i-1\}' cannot be made of"):
    fill("stage{i-1}", {"i": value})
