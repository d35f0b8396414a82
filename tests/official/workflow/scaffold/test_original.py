"""The original of a new project, and the draft of its weights."""

import pytest

from official.checkpoints import transfer
from official.checkpoints.rules import Ignore, Rule
from official.cli.errors import UserError
from official.workflow.scaffold import original

_HERE = "tests.official.workflow.scaffold.originals"


def test_a_class_takes_its_arguments():
  of = original.make("torch.nn:Linear", {"in_features": 3, "out_features": 2})
  assert not of.configured
  assert of.network.weight.shape == (2, 3)


def test_a_configuration_takes_the_arguments_where_there_is_one():
  of = original.make(f"{_HERE}:Configured", {"width": 7})
  assert of.configured
  assert of.network.head.weight.shape == (2, 7)


@pytest.mark.parametrize(
  ("reference", "message"),
  [
    ("torch.nn.Linear", "--reference torch.nn.Linear: expected module:Class"),
    ("torch.nn:", "expected module:Class"),
    (":Linear", "expected module:Class"),
    ("torch.nn:a b", "expected module:Class"),
    ("no_such_module:Linear", "no_such_module cannot be imported: No module named"),
    ("torch.nn:Liner", "torch.nn has no 'Liner'; did you mean 'Linear'"),
    ("collections:OrderedDict", "collections:OrderedDict is no class derived from torch.nn.Module"),
    (f"{_HERE}:function", "function is no class derived from torch.nn.Module"),
    ("torch.nn:Linear", "missing 2 required .* give them as JSON: --arguments '{\"name\": value}'"),
    (f"{_HERE}:Failing", "cannot be made: no weights; give them"),
  ],
)
def test_mistakes_are_one_line(reference, message):
  with pytest.raises(UserError, match=message) as caught:
    original.make(reference, {})
  assert "\n" not in str(caught.value)


def test_the_draft_takes_every_parameter_to_a_variable_of_keras_names_and_shapes():
  of = original.make(f"{_HERE}:Configured", {})
  names = {"Rule": Rule, "Ignore": Ignore}
  text = original.weights(of)
  exec(text.replace(": tuple[Rule | Ignore, ...]", ""), names)
  shapes = {f"blocks/{index}/kernel": (1, 1, 3, 4) for index in range(3)}
  shapes |= {f"blocks/{index}/bias": (4,) for index in range(3)}
  shapes |= {f"norm/{name}": (4,) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
  shapes |= {"head/kernel": (4, 2), "head/bias": (2,), "queries/weight": (5, 4)}
  assert "No rule" not in text
  sources = {name: tuple(array.shape) for name, array in of.network.state_dict().items()}
  transfer.plan(names["WEIGHTS"], sources, shapes)  # Raises where anything is left over.
