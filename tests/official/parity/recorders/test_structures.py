"""Leaves of what modules return, by name, in whatever they come."""

import collections
import dataclasses

from transformers.modeling_outputs import BaseModelOutput

from official.parity.recorders.structures import leaves, map_leaves

Pair = collections.namedtuple("Pair", ["low", "high"])


@dataclasses.dataclass(frozen=True)
class Output:
  logits: int
  states: tuple


def test_leaves_are_named_by_keys_indices_and_fields():
  value = {"a": [1, (2, {3: 4})], "pair": Pair(5, 6), "data": Output(7, (8, None))}
  assert leaves(value) == [
    ("a.0", 1),
    ("a.1.0", 2),
    ("a.1.1.3", 4),
    ("pair.0", 5),
    ("pair.1", 6),
    ("data.logits", 7),
    ("data.states.0", 8),
    ("data.states.1", None),
  ]
  assert leaves(9) == [("", 9)]
  assert leaves([]) == []
  assert leaves(Output) == [("", Output)]


def test_what_changes_is_rebuilt_in_kind_and_the_rest_is_the_same_object():
  value = {"a": [1], "pair": Pair(5, 6), "data": Output(7, (8,)), "keep": (2, [4])}
  got = map_leaves(lambda _, leaf: leaf + 10 if leaf % 2 else leaf, value)
  assert got == {"a": [11], "pair": Pair(15, 6), "data": Output(17, (8,)), "keep": (2, [4])}
  assert isinstance(got["pair"], Pair)
  assert got["data"].states is value["data"].states
  assert got["keep"] is value["keep"]
  assert value["a"] == [1]
  assert map_leaves(lambda _, leaf: leaf, value) is value


def test_mappings_need_not_be_dicts():
  value = collections.UserDict(a=1, b=(2,))
  assert leaves(value) == [("a", 1), ("b.0", 2)]
  got = map_leaves(lambda _, leaf: -leaf, value)
  assert isinstance(got, collections.UserDict)
  assert dict(got) == {"a": -1, "b": (-2,)}
  assert dict(value) == {"a": 1, "b": (2,)}


def test_outputs_of_transformers_stay_what_they_are():
  value = BaseModelOutput(last_hidden_state=1, hidden_states=(2, 3))
  assert leaves(value) == [
    ("last_hidden_state", 1),
    ("hidden_states.0", 2),
    ("hidden_states.1", 3),
  ]
  got = map_leaves(lambda _, leaf: -leaf, value)
  assert isinstance(got, BaseModelOutput)
  assert (got.last_hidden_state, got[1], got["hidden_states"]) == (-1, (-2, -3), (-2, -3))
  assert value.last_hidden_state == 1
