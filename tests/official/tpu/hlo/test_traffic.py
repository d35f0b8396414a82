"""Bytes from and to HBM against counts by hand; S(1) is not HBM."""

import pytest

from official.tpu.hlo import parsing, traffic

TILE = 8 * 128 * 4
TEXT = """HloModule moves

%pick (p: f32[64,128], i: s32[]) -> f32[8,128] {
  %p = f32[64,128]{1,0:T(8,128)} parameter(0)
  %i = s32[] parameter(1)
  ROOT %part = f32[8,128]{1,0:T(8,128)} dynamic-slice(%p, %i), dynamic_slice_sizes={8,128}
}

%write (p: f32[64,128], v: f32[8,128], i: s32[]) -> f32[64,128] {
  %p = f32[64,128]{1,0:T(8,128)} parameter(0)
  %v = f32[8,128]{1,0:T(8,128)} parameter(1)
  %i = s32[] parameter(2)
  ROOT %new = f32[64,128]{1,0:T(8,128)} dynamic-update-slice(%p, %v, %i)
}

%body (s: f32[8,128]) -> f32[8,128] {
  %s = f32[8,128]{1,0:T(8,128)} parameter(0)
  ROOT %twice = f32[8,128]{1,0:T(8,128)} add(%s, %s)
}

ENTRY %main (x: f32[64,128]) -> f32[8,128] {
  %x = f32[64,128]{1,0:T(8,128)} parameter(0)
  %i = s32[]{:S(6)} constant(3)
  %y = f32[8,128]{1,0:T(8,128)S(1)} constant(0)
  %narrow = f32[64,3]{1,0:T(8,128)} parameter(1)
  %fetch = (f32[64,128]{1,0:T(8,128)S(1)}, f32[64,128]{1,0:T(8,128)}, u32[]{:S(2)}) copy-start(%x)
  %fetched = f32[64,128]{1,0:T(8,128)S(1)} copy-done(%fetch)
  %cut = ((f32[64,128]{1,0:T(8,128)}), f32[8,128]{1,0:T(8,128)S(1)}, s32[]{:S(2)}) slice-start(%x)
  %picked = f32[8,128]{1,0:T(8,128)S(1)} fusion(%x, %i), kind=kLoop, calls=%pick
  %written = f32[64,128]{1,0:T(8,128)} fusion(%x, %y, %i), kind=kLoop, calls=%write
  %plain = f32[64,128]{1,0:T(8,128)} negate(%x)
  %padded = f32[64,3]{1,0:T(8,128)} negate(%narrow)
  %inside = f32[8,128]{1,0:T(8,128)S(1)} negate(%y)
  %free = f32[128,64]{1,0:T(8,128)} bitcast(%x)
  ROOT %loop = f32[8,128]{1,0:T(8,128)} while(%y), body=%body, backend_config={"known_trip_count":{"n":"3"}}
}
"""  # noqa: E501


@pytest.fixture(scope="module")
def module():
  return parsing.parse(TEXT)


@pytest.mark.parametrize(
  ("name", "tiles"),
  [
    ("x", 0),
    ("fetch", 8),  # Read once; what is written is not HBM.
    ("fetched", 0),
    ("cut", 1),  # Of the whole only the part.
    ("picked", 1),
    ("written", 1),  # In place: only what is new.
    ("plain", 16),
    ("inside", 0),
    ("free", 0),
  ],
)
def test_bytes_of_an_instruction(module, name, tiles):
  moved = traffic.moved(module.entry.instructions[name], module.entry, module)
  assert moved == traffic.Bytes(tiles * TILE, tiles * TILE)


def test_padding_is_told_apart(module):
  moved = traffic.moved(module.entry.instructions["padded"], module.entry, module)
  assert moved == traffic.Bytes(2 * 8 * TILE, 2 * 64 * 3 * 4)


def test_what_stands_in_a_loop_runs_as_often_as_the_loop(module):
  times = {each.name: count for each, _, count in traffic.scheduled(module)}
  assert (times["twice"], times["plain"]) == (3, 1)
  assert "loop" not in times
  assert "part" not in times
