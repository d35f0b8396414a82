"""The text of a ledger."""

import dataclasses
import math

import pytest

from official.workflow import records

RECORD = records.Record(
  project="toy",
  gate="loss",
  at="2026-01-01T00:00:00Z",
  command="python -m pytest",
  declaration="d",
  code="c",
  weights={},
  data={},
  versions={"python": "3.11.7"},
  commit="",
  result=records.PASSED,
  reason="",
  seconds=1.5,
  figures={"passed": 3},
  files={},
)


@pytest.mark.parametrize("reason", ["", "a\nb", "\u2028 \x85 \x0c \r", "ü ≥ '\"", "x" * 10_000])
@pytest.mark.parametrize("figure", [0.1, 1e300, math.inf])
def test_what_is_written_is_read(reason, figure):
  rows = [dataclasses.replace(RECORD, reason=reason, figures={"f": figure}), RECORD]
  contents = records.parse(records.write(rows, "toy"), "toy")
  assert (contents.records, contents.problems) == (tuple(rows), ())


def test_an_empty_ledger_has_a_seal():
  assert records.parse(records.write([], "toy"), "toy").problems == ()
  assert records.parse(b"", "toy").problems
  assert records.parse(records.write([], "toy"), "twin").problems


def test_every_byte_counts():
  """Whichever byte of a ledger is another one, it is noticed, or means the same."""
  data = records.write([RECORD], "toy")
  for index in range(0, len(data), 7):
    other = data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :]
    contents = records.parse(other, "toy")
    assert contents.problems or contents.records == (RECORD,)
    assert all(row == RECORD for row in contents.records)


def test_every_length_counts():
  data = records.write([RECORD, RECORD], "toy")
  for length in range(0, len(data) - 1, 5):
    assert records.parse(data[:length], "toy").problems
