import dataclasses

import pytest

from official.tpu.search import largest_batch


@dataclasses.dataclass
class Trial:
  batch: int
  fits: bool


def search(limit, start):
  return largest_batch(lambda batch: Trial(batch, batch <= limit), start)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 21, 64, 100, 1000])
@pytest.mark.parametrize("start", [1, 8, 200])
def test_the_largest_is_found_to_an_eighth(limit, start):
  tried = search(limit, start)
  best = max(trial.batch for trial in tried if trial.fits)
  assert best <= limit < best + max(best // 8, 1)
  assert [trial.batch for trial in tried] == sorted({trial.batch for trial in tried})
  assert len(tried) <= 14


def test_where_nothing_fits_everything_down_to_one_was_tried():
  tried = search(0, 8)
  assert [trial.batch for trial in tried] == [1, 2, 4, 8]
  assert not any(trial.fits for trial in tried)


def test_it_does_not_go_on_for_ever():
  assert max(trial.batch for trial in search(10**9, 1)) <= 8192
