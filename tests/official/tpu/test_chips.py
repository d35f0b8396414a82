import pytest

from official.cli.errors import UserError
from official.tpu.chips import parse


@pytest.mark.parametrize(
  ("name", "chips", "replicas", "gib"),
  [("v2:2x2", 4, 8, 8), ("v3:2x2", 4, 8, 16), ("v5e:4x4", 16, 16, 16), ("v5p:8x8x8", 512, 512, 95)],
)
def test_a_topology(name, chips, replicas, gib):
  topology = parse(name)
  assert (topology.chips, topology.replicas, topology.memory) == (chips, replicas, gib * 2**30)


def test_a_core_has_its_share_of_a_chip():
  topology = parse("v3:2x2")
  assert topology.peak == 61.5e12
  assert topology.bandwidth == 450e9


def test_summing_over_replicas():
  # In a ring of n each byte goes out n - 1 times in parts of 1/n, twice.
  assert parse("v5e:2x2").summing_seconds(200_000_000) == pytest.approx(2 * 3 / 4 * 1e-3)
  assert parse("v5e:1x1").summing_seconds(200_000_000) == 0


@pytest.mark.parametrize(
  ("name", "told"),
  [
    ("v5", "not of the form"),
    ("v9:2x2", "no chip 'v9'"),
    ("v5e:2x2x2", "2 dimensions"),
    ("v5p:2x2", "3 dimensions"),
    ("v5e:0x2", "2 dimensions"),
  ],
)
def test_what_is_no_topology_is_refused(name, told):
  with pytest.raises(UserError, match=told):
    parse(name)
