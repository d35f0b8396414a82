import pytest

from official.tpu.hlo.shapes import parse


@pytest.mark.parametrize(
  ("text", "plain", "padded"),
  [
    # Rows of 8, columns of 128: 3 channels fill 128.
    ("f32[8,32,32,3]{3,2,1,0:T(8,128)}", 8 * 32 * 32 * 3 * 4, 8 * 32 * 32 * 128 * 4),
    # The layout says which dimensions are the last: here 32 × 32.
    ("f32[8,32,32,3]{2,1,3,0:T(8,128)}", 8 * 32 * 32 * 3 * 4, 8 * 3 * 32 * 128 * 4),
    ("bf16[8,32,32,3]{0,3,2,1:T(4,128)(2,1)S(1)}", 8 * 32 * 32 * 3 * 2, 32 * 32 * 4 * 128 * 2),
    ("f32[85]{0:T(128)}", 85 * 4, 128 * 4),
    ("f32[255,85]{1,0:T(8,128)}", 255 * 85 * 4, 256 * 128 * 4),
    ("pred[8]{0:T(512)(128)(4,1)S(1)}", 8, 512),
    ("f32[]{:T(128)}", 4, 512),
    ("f32[7]{0}", 28, 28),
    ("s4[16]", 8, 8),
    ("f32[0,4]{1,0:T(8,128)}", 0, 0),
  ],
)
def test_bytes_are_those_counted_by_hand(text, plain, padded):
  (shape,) = parse(text)
  assert (shape.bytes, shape.padded_bytes) == (plain, padded)


def test_a_tuple_is_its_arrays():
  first, second, third = parse("(f32[2,3]{1,0:T(8,128)}, /*index=1*/(u32[], bf16[4]{0:S(1)}))")
  assert (first.dtype, first.sizes, first.order, first.tile) == ("f32", (2, 3), (1, 0), (8, 128))
  assert (second.sizes, second.space) == ((), 0)
  assert (str(third), third.space) == ("bf16[4]", 1)


def test_a_bound_of_a_dynamic_size_counts_as_the_size():
  assert parse("f32[<=5,2]")[0].sizes == (5, 2)
