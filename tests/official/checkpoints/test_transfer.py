"""Transfers are complete and exact, or every reason why not is told."""

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

from official.checkpoints.rules import Ignore, Rule
from official.checkpoints.transfer import TransferError, plan
from official.cli.errors import UserError

RULES = (
  Rule("layers.{i}.conv.weight", "layer{i}/conv/kernel", "conv"),
  Rule("layers.{i}.bn.weight", "layer{i}/norm/gamma"),
  Rule("attention.in_proj", "attention/query", "qkv:0/3|linear"),
  Rule("attention.in_proj", "attention/key", "qkv:1/3|linear"),
  Rule("attention.in_proj", "attention/value", "qkv:2/3|linear"),
  Rule("gate.a", "gate", "linear|merge:0/2"),
  Rule("gate.b", "gate", "linear|merge:1/2"),
  Ignore("{path*}.num_batches_tracked", "counts steps, which momentum does not use"),
)
SOURCES = {
  "layers.0.conv.weight": (4, 3, 5, 5),
  "layers.0.bn.weight": (4,),
  "layers.0.bn.num_batches_tracked": (),
  "layers.10.conv.weight": (2, 4, 1, 3),
  "layers.10.bn.weight": (2,),
  "attention.in_proj": (6, 5),
  "gate.a": (3, 2),
  "gate.b": (3, 2),
}
TARGETS = {
  "gate": (2, 6),
  "attention/value": (5, 2),
  "attention/key": (5, 2),
  "attention/query": (5, 2),
  "layer0/conv/kernel": (5, 5, 3, 4),
  "layer0/norm/gamma": (4,),
  "layer10/conv/kernel": (1, 3, 4, 2),
  "layer10/norm/gamma": (2,),
}


def arrays(shapes, dtype=np.float64):
  random = np.random.default_rng(0)
  return {
    name: np.asarray(random.normal(size=shape)).astype(dtype) for name, shape in shapes.items()
  }


def problems(rules, sources, targets):
  with pytest.raises(TransferError) as error:
    plan(rules, sources, targets)
  assert "\n" not in "".join(error.value.problems)
  assert isinstance(error.value, UserError)
  return error.value.problems


def test_every_array_arrives():
  given = arrays(SOURCES)
  made = plan(RULES, SOURCES, TARGETS).forward(given)
  assert set(made) == set(TARGETS)
  query, key, value = np.split(given["attention.in_proj"], 3)
  expected = {
    "gate": np.concatenate([given["gate.a"].T, given["gate.b"].T], 1),
    "attention/query": query.T,
    "attention/key": key.T,
    "attention/value": value.T,
    "layer0/conv/kernel": np.moveaxis(given["layers.0.conv.weight"], (0, 1), (-1, -2)),
    "layer10/conv/kernel": np.moveaxis(given["layers.10.conv.weight"], (0, 1), (-1, -2)),
    "layer0/norm/gamma": given["layers.0.bn.weight"],
    "layer10/norm/gamma": given["layers.10.bn.weight"],
  }
  for name, array in expected.items():
    np.testing.assert_array_equal(made[name], array, err_msg=name)
    assert made[name].flags.c_contiguous, name


@pytest.mark.parametrize("dtype", [np.float64, np.float32, ml_dtypes.bfloat16, np.int64])
def test_round_trip_is_bit_exact(dtype):
  found, given = plan(RULES, SOURCES, TARGETS), arrays(SOURCES, dtype)
  back = found.backward(found.forward(given))
  assert set(back) == set(SOURCES) - {"layers.0.bn.num_batches_tracked"}
  for name, array in back.items():
    assert array.dtype == given[name].dtype
    assert array.shape == SOURCES[name]
    assert array.tobytes() == given[name].tobytes()
  again = found.forward(back)
  assert {name: array.tobytes() for name, array in again.items()} == {
    name: array.tobytes() for name, array in found.forward(given).items()
  }


def test_what_is_made_shares_no_memory():
  found, given = plan(RULES, SOURCES, TARGETS), arrays(SOURCES)
  made = found.forward(given)
  for array in made.values():
    assert not any(np.shares_memory(array, other) for other in given.values())
  for array in found.backward(made).values():
    assert not any(np.shares_memory(array, other) for other in made.values())


def test_arrays_need_not_be_contiguous():
  found, given = plan(RULES, SOURCES, TARGETS), arrays(SOURCES)
  turned = {name: array.copy("F") for name, array in given.items()}
  made = found.forward(given)
  for name, array in found.forward(turned).items():
    np.testing.assert_array_equal(array, made[name])
  back = found.backward({name: array.copy("F") for name, array in made.items()})
  for name, array in back.items():
    np.testing.assert_array_equal(array, given[name])


def test_rows_and_pairs_for_reports():
  found = plan(RULES, SOURCES, TARGETS)
  assert found.pairs["attention/key"] == ("attention.in_proj",)
  assert found.pairs["gate"] == ("gate.a", "gate.b")
  assert list(found.pairs) == list(TARGETS)
  rows = found.rows()
  assert rows[0] == ("gate.a, gate.b", "gate", "linear|merge:0/2, linear|merge:1/2", "2 × 6")
  assert rows[5] == ("layers.0.bn.weight", "layer0/norm/gamma", "identity", "4")
  reason = "ignored: counts steps, which momentum does not use"
  assert rows[-1] == ("layers.0.bn.num_batches_tracked", "", reason, "scalar")
  assert len(rows) == len(TARGETS) + 1


def test_shapes_may_be_any_sequence_of_integers():
  found = plan([Rule("a", "b", "linear")], {"a": [np.int64(2), 3]}, {"b": [3, 2]})
  assert found.sources == {"a": (2, 3)}


def test_weights_are_planned_without_a_framework():
  code = """
import sys
import official.checkpoints.proposals, official.checkpoints.transfer
print(*{"tensorflow", "torch", "jax"} & set(sys.modules))
"""
  done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
  assert done.stdout.strip() == ""


class TestPartial:
  def test_slots_of_some_parameters(self):
    found, given = plan(RULES, SOURCES, TARGETS), arrays(SOURCES)
    some = {name: given[name] for name in ("layers.0.bn.weight", "attention.in_proj")}
    made = found.forward(some, partial=True)
    assert set(made) == {
      "layer0/norm/gamma",
      "attention/query",
      "attention/key",
      "attention/value",
    }
    back = found.backward(made, partial=True)
    assert set(back) == set(some)
    np.testing.assert_array_equal(back["attention.in_proj"], given["attention.in_proj"])

  def test_missing_arrays_are_refused_unless_partial(self):
    found, given = plan(RULES, SOURCES, TARGETS), arrays(SOURCES)
    del given["layers.0.bn.weight"]
    with pytest.raises(TransferError) as error:
      found.forward(given)
    assert error.value.problems == [
      "missing: 'layers.0.bn.weight', of which 'layer0/norm/gamma' is made"
    ]

  def test_half_of_a_variable_is_refused(self):
    found, given = plan(RULES, SOURCES, TARGETS), arrays(SOURCES)
    with pytest.raises(TransferError, match=r"'gate.b', of which 'gate' is made"):
      found.forward({"gate.a": given["gate.a"]}, partial=True)
    del (made := found.forward(given))["attention/value"]
    with pytest.raises(TransferError, match=r"'attention/value', of which 'attention.in_proj'"):
      found.backward(made, partial=True)

  @pytest.mark.parametrize("partial", [True, False])
  def test_unknown_names_and_other_shapes_are_refused(self, partial):
    found, given = plan(RULES, SOURCES, TARGETS), arrays(SOURCES)
    given |= {"stray": np.zeros(2), "layers.0.bn.weight": np.zeros((4, 1)), "gate.a": np.zeros(())}
    with pytest.raises(TransferError) as error:
      found.forward(given, partial)
    assert error.value.problems == [
      "there is no parameter 'stray'",
      "'layers.0.bn.weight' is [4, 1], not [4]",
      "'gate.a' is [], not [3, 2]",
    ]
    with pytest.raises(TransferError, match="there is no variable 'stray'"):
      found.backward({"stray": np.zeros(2)}, partial)

  def test_a_variable_of_two_dtypes_is_refused(self):
    found, given = plan(RULES, SOURCES, TARGETS), arrays(SOURCES)
    given["gate.a"] = given["gate.a"].astype(np.float32)
    with pytest.raises(TransferError, match="'gate' would be made of float32 and float64"):
      found.forward(given)


class TestStrict:
  def test_unused_parameter_with_advice(self):
    rules = [rule for rule in RULES if "bn.weight" not in getattr(rule, "source", "")]
    rules.append(Rule("layers.{i}.bn.weights", "layer{i}/norm/gamma"))
    told = problems(rules, SOURCES, TARGETS)
    assert told[0] == (
      "unused: 'layers.0.bn.weight' [4] matches no rule; the nearest rule is for "
      "'layers.{i}.bn.weights'; it would fit unfilled 'layer0/norm/gamma' by 'identity'"
    )
    assert told[1].startswith("unused: 'layers.10.bn.weight' [2]")
    assert told[2] == (
      "unfilled: no rule fills 'layer0/norm/gamma' [4]; the nearest rule is for "
      "'layer{i}/norm/gamma'"
    )
    assert len(told) == 4

  def test_unfilled_variable_with_advice(self):
    told = problems([Rule("a.w", "a/w")], {"a.w": (2,)}, {"a/w": (2,), "a/v": (2,)})
    assert told == ["unfilled: no rule fills 'a/v' [2]; the nearest rule is for 'a/w'"]

  def test_no_rules_at_all(self):
    told = problems([], {"fc.weight": (2, 3)}, {"fc/kernel": (3, 2), "x/y": (9,)})
    assert told == [
      "unused: 'fc.weight' [2, 3] matches no rule; it would fit unfilled 'fc/kernel' by 'linear'",
      "unfilled: no rule fills 'fc/kernel' [3, 2]",
      "unfilled: no rule fills 'x/y' [9]",
    ]

  def test_two_sources_for_one_variable(self):
    told = problems([Rule("{i}.w", "w")], {"a.w": (2,), "b.w": (2,)}, {"w": (2,)})
    assert told == ["doubled: 'w' is filled by 'a.w' and 'b.w'"]

  def test_a_whole_and_a_piece_for_one_variable(self):
    rules = [Rule("a", "w"), Rule("b", "w", "merge:0/2")]
    told = problems(rules, {"a": (4,), "b": (2,)}, {"w": (4,)})
    assert told == ["pieces: of 'w' 2 numbers are filled twice, by 'a' and 'b'"]

  def test_ambiguous_rules(self):
    rules = [Rule("{i}.w", "x/{i}"), Rule("a.{i}", "y/{i}")]
    told = problems(rules, {"a.w": (2,)}, {"x/a": (2,), "y/w": (2,)})
    assert len(told) == 1
    assert told[0].startswith("ambiguous: 'a.w' matches '{i}.w' → 'x/{i}' and 'a.{i}' → 'y/{i}'")

  def test_a_piece_beside_the_whole_is_ambiguous(self):
    rules = [Rule("a", "x", "qkv:0/2"), Rule("a", "y")]
    told = problems(rules, {"a": (2,)}, {"x": (1,), "y": (2,)})
    assert [problem.split(":")[0] for problem in told] == ["ambiguous"]

  def test_the_same_rule_twice_is_ambiguous(self):
    told = problems([Rule("a", "x")] * 2, {"a": (2,)}, {"x": (2,)})
    assert [problem.split(":")[0] for problem in told] == ["ambiguous"]

  def test_ignored_and_used(self):
    told = problems([Rule("a", "x"), Ignore("{i}", "unused there")], {"a": (2,)}, {"x": (2,)})
    assert told == ["ambiguous: 'a' goes to 'x' and is ignored: unused there"]

  def test_ignoring_needs_a_reason(self):
    with pytest.raises(UserError, match="needs a reason"):
      Ignore("a", " ")

  def test_ignoring_fills_nothing(self):
    told = problems([Ignore("a", "unused there")], {"a": (2,)}, {"x": (2,)})
    assert told == ["unfilled: no rule fills 'x' [2]"]

  def test_target_that_there_is_not(self):
    told = problems([Rule("a.w", "a/kernal")], {"a.w": (2,)}, {"a/kernel": (2,)})
    assert told[0] == (
      "unknown: 'a.w' sends 'a.w' to 'a/kernal', which is no variable; did you mean 'a/kernel'?"
    )
    assert told[1:] == [
      "unfilled: no rule fills 'a/kernel' [2]; the nearest rule is for 'a/kernal'"
    ]

  @pytest.mark.parametrize(
    ("source", "target", "transform", "why"),
    [
      ((4, 1), (1, 7), "", "'identity' gives [4, 1], not [1, 7]; no transform fits"),
      ((4, 1), (4,), "", "'identity' gives [4, 1], not [4]; by its shape 'a 1 -> a' would fit"),
      ((2, 3), (3, 2), "", "not [3, 2]; by its shape 'linear' would fit"),
      ((2, 3), (3,), "", "'identity' gives [2, 3], not [3]; no transform fits"),
      ((6,), (2, 3), "", "'identity' gives [6], not [2, 3]; by its shape 'heads_out:2' would fit"),
      ((8, 4, 3, 3), (3, 3, 4, 8), "linear", "takes 2 axes, not 4; by its shape 'conv' would fit"),
      ((8, 1, 3, 3), (3, 3, 8, 1), "conv", "by its shape 'depthwise' or"),
      (
        (3, 3),
        (3, 3),
        "",
        "would fit transposed too: say which is meant; by its shape 'identity' "
        "or 'linear' would fit",
      ),
      ((6, 4), (4, 2), "linear", "by its shape 'qkv:0/3|linear' would fit"),
      ((2, 4), (4, 6), "linear", "by its shape 'linear|merge:0/3' would fit"),
      ((9, 4), (3, 3, 4), "", "by its shape 'relative_table:3' would fit"),
    ],
  )
  def test_misfits_with_advice(self, source, target, transform, why):
    told = problems([Rule("a", "x", transform)], {"a": source}, {"x": target})
    assert len(told) == 1
    assert told[0].startswith(f"misfit: 'a' {list(source)} → 'x' {list(target)}: ")
    assert why in told[0]

  def test_pieces_that_go_nowhere(self):
    rules = [Rule("a", "q", "qkv:0/3"), Rule("a", "k", "qkv:1/3")]
    told = problems(rules, {"a": (6, 5)}, {"q": (2, 5), "k": (2, 5)})
    assert told == ["pieces: of 'a' 10 numbers are not used, by 'qkv:0/3' → 'q', 'qkv:1/3' → 'k'"]

  def test_pieces_used_twice(self):
    rules = [Rule("a", "q", "qkv:0/2"), Rule("a", "k", "qkv:0/2")]
    told = problems(rules, {"a": (4,)}, {"q": (2,), "k": (2,)})
    assert told[0].startswith("pieces: of 'a' 2 numbers are not used and 2 numbers are used twice")

  def test_pieces_that_stay_empty(self):
    told = problems([Rule("a", "x", "merge:1/3")], {"a": (2,)}, {"x": (6,)})
    assert told == ["pieces: of 'x' 4 numbers are not filled, by 'a'"]

  def test_two_sources_for_one_piece(self):
    rules = [Rule("a", "x", "merge:0/2"), Rule("b", "x", "merge:0/2")]
    told = problems(rules, {"a": (2,), "b": (2,)}, {"x": (4,)})
    assert told == [
      "pieces: of 'x' 2 numbers are not filled and 2 numbers are filled twice, by 'a' and 'b'"
    ]

  def test_one_problem_does_not_bring_others_or_hide_them(self):
    rules = [
      Rule("a", "q", "qkv:0/3"),
      Rule("a", "k", "qkv:1/3"),
      Rule("b", "x", "qkv:0/2"),
      Rule("c", "y"),
      Rule("d", "y"),
      Rule("e", "z"),
      Rule("f", "z"),
    ]
    sources = {"a": (6,), "b": (4,), "c": (2,), "d": (3,), "e": (5,), "f": (5,)}
    told = problems(rules, sources, {"q": (2,), "k": (3,), "x": (2,), "y": (2,), "z": (5,)})
    assert [problem.split(",")[0].split(" [")[0] for problem in told] == [
      "misfit: 'a'",
      "misfit: 'd'",
      "pieces: of 'b' 2 numbers are not used",
      "doubled: 'z' is filled by 'e' and 'f'",
    ]

  def test_advice_is_the_unfilled_variable_that_is_named_most_alike(self):
    targets = {"b/kernel": (3, 2), "a/kernel": (3, 2)}
    told = problems([], {"a.weight": (2, 3), "b.weight": (2, 3)}, targets)
    assert "it would fit unfilled 'a/kernel' by 'linear'" in told[0]
    assert "it would fit unfilled 'b/kernel' by 'linear'" in told[1]

  def test_advice_prefers_the_variable_with_the_fewest_other_words(self):
    targets = {"a/b/c/weight": (3, 2), "a/weight": (3, 2)}
    told = problems([], {"a.weight": (2, 3)}, targets)
    assert "it would fit unfilled 'a/weight' by 'linear'" in told[0]

  def test_an_unknown_target_of_one_piece_is_told_once(self):
    rules = [Rule("a", "q", "qkv:0/2"), Rule("a", "k", "qkv:1/2")]
    told = problems(rules, {"a": (2,)}, {"q": (1,)})
    assert [problem.split(":")[0] for problem in told] == ["unknown"]

  def test_the_first_reason_to_ignore_counts(self):
    rules = [Ignore("a", "first"), Ignore("{i}", "second")]
    assert plan(rules, {"a": (2,)}, {}).ignored == {"a": "first"}

  def test_all_problems_are_counted_and_listed(self):
    sources = {f"a.{i}": (i + 1,) for i in range(100)}
    with pytest.raises(TransferError) as error:
      plan([Rule("a.7", "x")], sources, {"x": (8,), "y": (2,)})
    assert str(error.value).startswith(
      "the weights do not transfer: 100 problems; the first: unused"
    )
    assert len(error.value.problems) == 100

  @pytest.mark.parametrize(
    "rule",
    [
      Rule("a.{i", "x"),
      Rule("a", "x/{i}"),
      Rule("a.{i}", "x/{j}"),
      Rule("a", "x", "transpose"),
      Ignore("{", "why"),
    ],
  )
  def test_malformed_rules_are_refused_even_where_nothing_matches(self, rule):
    with pytest.raises(UserError):
      plan([Ignore("x", "unused there"), rule], {}, {})
