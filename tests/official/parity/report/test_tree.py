"""Taps by path."""

from official.parity.report import tree
from official.parity.report.digest import Shade
from official.parity.result import Status


def test_names_become_paths(finding):
  names = ["net/c1/conv", "net/c1#1:logits", "(model)", "(model):boxes/0", "a#2", "b:0"]
  root, columns = tree.build([finding(name, i) for i, name in enumerate(names)])
  assert columns == ["eval"]
  assert list(root.children) == ["net", ":boxes/0", "a", "b"]
  assert root.findings["eval"].name == "(model)"
  assert list(root.children["net"].children["c1"].children) == ["conv", "#1:logits"]
  paths = {f.name: n.path for n in _nodes(root) for f in n.findings.values()}
  assert paths == {name: name for name in names}


def test_children_stand_in_order_of_execution(finding):
  root, _ = tree.build([finding("b/x", 1), finding("b", 3), finding("a", 0), finding("b/w", 2)])
  assert list(root.children) == ["a", "b"]
  assert list(root.children["b"].children) == ["x", "w"]


def test_columns_are_phases_and_upstream(finding):
  findings = [
    finding("a"),
    finding("a", phase="train"),
    finding("a", phase="train", section="upstream"),
    finding("a/kernel", section="gradient"),
  ]
  root, columns = tree.build(findings)
  assert columns == ["eval", "train", "upstream"]
  assert list(root.children["a"].findings) == columns
  assert not root.children["a"].children


def test_what_only_the_original_has_is_left_out(finding):
  findings = [
    finding("layers.1", 1, Status.UNPAIRED),
    finding("layers.2", 1, Status.EXCUSED),
    finding("same/name", 2, reference="same/name"),
    finding("excused", 3, Status.EXCUSED, reference="theirs"),
    finding("mine", 4, Status.UNPAIRED, reference=""),
    finding("half/recorded", 5, Status.UNPAIRED, reference="recorded"),
  ]
  root, _ = tree.build(findings)
  assert list(root.children) == ["same", "excused", "mine", "half"]


def test_a_branch_is_as_bad_as_the_worst_in_it(broken):
  root, _ = tree.build(broken.stages[0].findings)
  net = root.children["net"]
  assert root.shade is net.shade is Shade.DIFFERENT
  assert net.children["c2"].shade is Shade.INHERITED
  assert root.children["aux"].shade is Shade.SAME
  assert root.children["drop"].shade is Shade.EXCUSED
  assert net.children["c1"].layer == "Block"
  assert net.layer == ""


def test_of_two_findings_of_a_tap_the_worse_counts(finding):
  worse = finding("a", status=Status.DIFFERENT)
  for findings in ([worse, finding("a")], [finding("a"), worse]):
    root, _ = tree.build(findings)
    assert root.children["a"].findings == {"eval": worse}


def _nodes(node):
  yield node
  for child in node.children.values():
    yield from _nodes(child)
