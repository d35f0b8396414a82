"""Rules drawn together say exactly what they said apart."""

from official.checkpoints.families import families
from official.checkpoints.rules import Rule
from official.checkpoints.transfer import plan


def drawn(pairs, *others, transform=""):
  """Patterns of the families of `pairs`, after a check that they do what `pairs` say."""
  sources = [source for source, _ in pairs] + list(others)
  found = families([Rule(*pair, transform) for pair in pairs], sources)
  rules = [family.rule for family in found]
  made = plan(rules, {s: (1,) for s, _ in pairs}, {t: (1,) for _, t in pairs})
  assert {(move.source, move.target) for move in made.moves} == set(pairs)
  assert sorted(name for family in found for name in family.sources) == sorted(
    sources[: len(pairs)]
  )
  assert all(rule.transform == transform for rule in rules)
  return [(rule.source, rule.target) for rule in rules]


def test_one_number():
  pairs = [(f"layers.{i}.conv", f"layer_{i}/conv") for i in range(12)]
  assert drawn(pairs) == [("layers.{i}.conv", "layer_{i}/conv")]


def test_numbers_that_count_from_elsewhere():
  pairs = [(f"s.{i}.b.{j}", f"stage{i + 2}_block{j + 1}") for i in range(3) for j in range(i + 2)]
  assert drawn(pairs) == [("s.{i}.b.{j}", "stage{i+2}_block{j+1}")]


def test_numbers_in_another_order_and_twice():
  pairs = [(f"a{i}.b{j}", f"b{j}/a{i}/norm{i + 1}") for i in range(3) for j in range(3)]
  assert drawn(pairs) == [("a{i}.b{j}", "b{j}/a{i}/norm{i+1}")]
  pairs = [(f"a{i}.b{i + 1}", f"a{i}") for i in range(3)]
  assert drawn(pairs) == [("a{i}.b{i+1}", "a{i}")]


def test_constant_numbers_stay():
  pairs = [(f"x.{i}.conv1.0", f"x{i}/conv7") for i in range(3)]
  assert drawn(pairs) == [("x.{i}.conv1.0", "x{i}/conv7")]


def test_single_parameters_keep_their_names():
  assert drawn([("a.1.w", "b/2/k")]) == [("a.1.w", "b/2/k")]


def test_numbers_that_do_not_agree_stay_apart():
  pairs = [(f"s.{i}.b.{j}", f"stage{3 - i}/block{j}") for i in range(3) for j in range(2)]
  assert drawn(pairs) == [(f"s.{i}.b.{{i}}", f"stage{3 - i}/block{{i}}") for i in range(3)]


def test_target_numbers_that_no_source_has():
  pairs = [(f"{word}.{i}", f"t{n}/{i}") for n, word in enumerate(("x", "y")) for i in range(2)]
  assert drawn(pairs) == [("x.{i}", "t0/{i}"), ("y.{i}", "t1/{i}")]


def test_other_transforms_are_other_families():
  rules = [Rule("a.0", "x0", "linear"), Rule("a.1", "x1", "conv")]
  assert [family.rule for family in families(rules, ["a.0", "a.1"])] == rules


def test_no_pattern_takes_in_what_is_not_of_the_family():
  pairs = [(f"a.{i}.w", f"x{i}") for i in (1, 2)]
  assert drawn(pairs, "a.0.w") == pairs
  assert drawn(pairs, "a.0.b") == [("a.{i}.w", "x{i}")]
  pairs = [(f"a.{i}", f"x{i - 3}") for i in (3, 4)]
  assert drawn(pairs, "a.0") == pairs


def test_a_first_block_without_a_number():
  pairs = [("b.0.w", "block"), ("b.1.w", "block_1"), ("b.2.w", "block_2")]
  assert drawn(pairs) == pairs


def test_numbers_with_leading_zeros_are_text():
  pairs = [(f"a.0{i}", f"x{i}") for i in range(3)]
  assert drawn(pairs) == pairs


def test_order_is_that_of_the_original():
  pairs = [("b.0", "y0"), ("a.0", "x0"), ("b.1", "y1"), ("a.1", "x1")]
  assert [source for source, _ in drawn(pairs)] == ["b.{i}", "a.{i}"]
