"""`describe` against counts made by hand."""

import contextlib
import io
import json

import pytest

from official.cli.errors import UserError
from tools import describe

# Kernel, input channels, output channels and output side of yolov3-tiny.cfg's convolutions.
V3_TINY = (
  *((3, 3, 16, 416), (3, 16, 32, 208), (3, 32, 64, 104), (3, 64, 128, 52), (3, 128, 256, 26)),
  *((3, 256, 512, 13), (3, 512, 1024, 13), (1, 1024, 256, 13), (3, 256, 512, 13)),
  *((1, 512, 255, 13), (1, 256, 128, 13), (3, 384, 256, 26), (1, 256, 255, 26)),
)
SIDES = {"v3-tiny": 416, "v4-tiny": 416, "v4-csp": 640}


@pytest.fixture(scope="module")
def described():
  """What --json prints for each of `SIDES`."""
  found = []
  for name in SIDES:
    with contextlib.redirect_stdout(io.StringIO()) as out:
      describe.main(["yolo", name, "--json"])
    found += json.loads(out.getvalue())["variants"]
  return {variant["name"]: variant for variant in found}


def test_v3_tiny_is_as_counted_by_hand(described):
  variant = described["v3-tiny"]
  flops = sum(2 * kernel**2 * ins * outs * side**2 for kernel, ins, outs, side in V3_TINY)
  assert variant["flops"] == flops == 5_564_961_792
  kernels = sum(kernel**2 * ins * outs for kernel, ins, outs, _ in V3_TINY)
  normed = sum(outs for *_, outs, _ in V3_TINY) - 2 * 255  # The outputs have a bias instead.
  assert variant["trainable"] == kernels + 2 * normed + 2 * 255
  assert variant["parameters"] == variant["trainable"] + 2 * normed


@pytest.mark.parametrize(
  ("name", "millions", "darknet_bflops"),
  [("v3-tiny", 8.852, 5.6), ("v4-tiny", 6.057, 6.9), ("v4-csp", 52.921, 120)],
)
def test_published_sizes(described, name, millions, darknet_bflops):
  assert round(described[name]["trainable"] / 1e6, 3) == millions
  assert described[name]["flops"] / 1e9 == pytest.approx(darknet_bflops, rel=0.01)


def test_shapes(described):
  assert described.keys() == SIDES.keys()
  for name, side in SIDES.items():
    variant = described[name]
    assert variant["input"] == [side, side, 3]
    levels = (3, 4, 5) if name == "v4-csp" else (4, 5)
    raw = {f"raw/{n}": [1, side // 2**n, side // 2**n, 3, 85] for n in levels}
    assert {path: shape for path, shape in variant["outputs"].items() if "raw" in path} == raw
    assert variant["outputs"]["detections/boxes"] == [1, 100, 4]
    assert variant["claims"]


def test_a_small_maskformer_is_as_counted_by_hand(capsys):
  override = "--params_override=task.train_data.output_size=[64,96]"
  describe.main(["maskformer", "tiny", override, "--json"])
  (variant,) = json.loads(capsys.readouterr().out)["variants"]
  assert (variant["input"], variant["claims"]) == ([64, 96, 3], [])
  # 20 queries, 10 classes and "no object"; masks at a quarter of the size.
  shapes = {"class_logits": [1, 20, 11], "mask_logits": [1, 20, 16, 24]}
  assert variant["outputs"] == shapes
  # Mean and variance of the stem's three normalizations and of the blocks': two narrow, one wide
  # each, and where a stage begins, a shortcut.
  widths = [16] * 2 + [32] * 3 + [64] * 3  # A quarter of each block's output.
  norms = 16 + 16 + 32 + sum(6 * width for width in widths) + 4 * (16 + 32 + 64)
  assert variant["parameters"] - variant["trainable"] == 2 * norms


def test_text_and_overrides(capsys):
  describe.main(["yolo", "v3-tiny", "--params_override=task.model.input_size=64"])
  out = capsys.readouterr().out
  rows = [line.split("  ") for line in out.splitlines()]
  figures = next(row for row in rows if "yolo_v3_tiny_coco" in row)
  assert [cell.strip() for cell in figures if cell] == [
    *("v3-tiny", "yolo_v3_tiny_coco", "64 × 64 × 3", "8,858,734", "8,852,366"),
    f"{5_564_961_792 * 64**2 / 416**2 / 1e9:.3f}",
  ]
  assert "  v3-tiny  raw/5               1 × 2 × 2 × 3 × 85" in out.splitlines()
  assert "AP50" in out
  assert "0.331" in out
  assert "v4-csp" not in out


@pytest.mark.parametrize(
  ("argv", "message"),
  [
    (["yollo"], "no project 'yollo'; did you mean 'yolo'"),
    (["yolo", "v4-tinny"], "yolo has no variant 'v4-tinny'; did you mean 'v4-tiny'"),
    (["yolo", "v4-tiny", "--jsn"], "--jsn; did you mean '--json'"),
    (["yolo", "v4-tiny", "--params_override=task.modle.x=1"], "'task.modle'; did you mean 'model'"),
    (["yolo", "v4-tiny", "--params_override=task.model.input_size=65"], "use a multiple of 32"),
  ],
)
def test_mistakes_are_one_line(argv, message):
  with pytest.raises(UserError) as caught:
    describe.main(argv)
  assert message in str(caught.value)
  assert "\n" not in str(caught.value)
