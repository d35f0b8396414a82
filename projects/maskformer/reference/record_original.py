"""Records facebookresearch/MaskFormer, packed: see `recordings/README.md`."""

import argparse
import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path

from official.cli import app
from official.cli.arguments import Parser
from official.parity.case import PRECISIONS, ParityCase, Side
from official.parity.recording.tiers import Tier
from official.parity.sides import original
from projects.maskformer.reference import recorded
from projects.maskformer.reference.batch import batch

_DESCRIPTION = """\
Runs the original MaskFormer, from checkouts of it and of detectron2, and packs a recording of it:
the outputs of every layer, losses, gradients, and in float64 ten steps of its optimizer."""
_EXAMPLES = """\
  python -m projects.maskformer.reference.record_original ../MaskFormer ../detectron2
  python -m projects.maskformer.reference.record_original ../MaskFormer ../detectron2 \\
    --precision bfloat16 --folder recordings"""
_NAME, _CLASSES = "coco-r50", 133
_CONFIG = "coco-panoptic/maskformer_panoptic_R50_bs64_554k"
_STEPS = 10


def main(argv: Sequence[str] | None = None) -> None:
  """Runs the command with `argv` (None: the command line)."""
  arguments = _parser().parse_args(argv)
  case = ParityCase(
    name=f"maskformer/{_NAME}",
    reference=functools.partial(_side, arguments),
    candidate=None,
    weights=(),
    taps=(),
    batch=functools.partial(batch, _CLASSES),
  )
  with tempfile.TemporaryDirectory(prefix="parity-") as directory:
    path = Path(directory) / f"{_NAME}.{arguments.precision}.safetensors"
    stages = None if arguments.precision == "float64" else ("forward", "loss", "gradients")
    original.record(
      case,
      path,
      arguments.precision,
      stages=stages,
      steps=_STEPS,
      seed=recorded.SEED,
      tier=Tier.STATISTICS,
      tell=print,
    )
    for file in sorted(Path(directory).iterdir()):
      packed = arguments.folder / recorded.packed_path(file).name
      recorded.pack(file, packed)
      print(f"{packed}: {packed.stat().st_size / 1e6:.1f} MB")


def _parser() -> Parser:
  parser = Parser(_DESCRIPTION, _EXAMPLES, prog="record_original")
  parser.add_argument("maskformer", type=Path, help="a checkout of facebookresearch/MaskFormer")
  parser.add_argument("detectron2", type=Path, help="a checkout of facebookresearch/detectron2")
  parser.add_argument("--precision", choices=PRECISIONS, default="float64", help="[float64]")
  parser.add_argument(
    "--folder", type=Path, default=recorded.FOLDER, help="of the packed recording [recordings]"
  )
  return parser


def _side(arguments: argparse.Namespace, precision: str, seed: int) -> Side:
  from projects.maskformer.reference.original import Checkouts, original_side

  checkouts = Checkouts(arguments.maskformer.resolve(), arguments.detectron2.resolve())
  return original_side(checkouts, _CONFIG, precision, seed)


if __name__ == "__main__":
  app.run(main)
