"""Twins: the candidate with what it is given moved by a few roundings."""

import numpy as np
import pytest

from official.parity import session
from official.parity.comparing.correspondence import Correspondence
from official.parity.recording.reader import Recording
from official.parity.sides.candidate import Candidate
from tests.official.parity import toys

EPSILON = 2.0**-23


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
  """The candidate, and what `record_forced` asks for."""
  folder, case = tmp_path_factory.mktemp("sides"), toys.case()
  session.record(case, folder / "own.safetensors", "float32", stages=["forward"])
  own = Recording(folder / "own.safetensors")
  candidate = Candidate(case, own, folder)
  free = candidate.record(["eval"], ["forward"])
  correspondence = Correspondence(case, candidate.plan, own, free)
  return candidate, (["eval"], correspondence, own, free)


def seen(candidate, arguments, monkeypatch, **options):
  """The weights during a forced recording, as shares of what they are before and after it."""
  before, during = candidate.recorder.parameters(), []
  record = candidate.recorder.record

  def spy(*args, **kwargs):
    during.append(candidate.recorder.parameters())
    return record(*args, **kwargs)

  monkeypatch.setattr(candidate.recorder, "record", spy)
  candidate.record_forced(*arguments, **options)
  for name, array in candidate.recorder.parameters().items():
    np.testing.assert_array_equal(array, before[name])
  kernels = [name for name in before if name.endswith("kernel")]
  return np.concatenate([np.ravel(during[0][name] / before[name] - 1) for name in kernels])


@pytest.mark.parametrize("stir", [1, 2])
def test_weights_of_a_free_twin_are_moved_by_a_few_roundings(sides, monkeypatch, stir):
  moved = seen(*sides, monkeypatch, stir=stir, only=())
  assert (moved != 0).mean() > 0.9
  assert np.abs(moved).max() < 10 * EPSILON


@pytest.mark.parametrize(("stir", "only"), [(0, ()), (1, None), (1, ("stem",))])
def test_weights_stay_where_layers_are_fed_or_nothing_is_moved(sides, monkeypatch, stir, only):
  assert not seen(*sides, monkeypatch, stir=stir, only=only).any()
