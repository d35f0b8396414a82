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


@pytest.mark.parametrize("pattern", ["{", "}", "{}", "{1a}", "{a b}", "{a**}", "x{a", "{a}{b}"])
def test_malformed_patterns_are_refused(pattern):
  for use in (lambda: match(pattern, "x"), lambda: field_names(pattern)):
    with pytest.raises(UserError) as error:
      use()
    assert f"'{pattern}'" in str(error.value)
    assert "\n" not in str(error.value)


def test_fill_without_a_field_is_refused():
  with pytest.raises(UserError, match=r"uses field 'j'.*known are: i"):
    fill("{i}.{j}", {"i": "1"})
