"""Lists what a file of weights holds: names, shapes and dtypes, without running its pickle."""

import argparse
import fnmatch
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from official.checkpoints.arrays import Checkpoint
from official.checkpoints.formats import open_checkpoint
from official.cli import app
from official.cli.arguments import Parser
from official.cli.errors import UserError, nearest
from official.cli.table import print_table

_DESCRIPTION = """\
Lists the arrays in a file of weights, and what else it holds: torch (.pt, .pth, .bin; state_dicts,
training checkpoints, whole modules), detectron2's .pkl, safetensors, Darknet's .weights, and
TensorFlow checkpoints. torch is not needed, and nothing in the file is executed."""
_EXAMPLES = """\
  python -m tools.inspect_checkpoint yolov7.pt
  python -m tools.inspect_checkpoint R-50.pkl --filter '*res2.0*'
  python -m tools.inspect_checkpoint last.pt --filter 'optimizer.*' --metadata
  python -m tools.inspect_checkpoint model.safetensors --json
  python -m tools.inspect_checkpoint runs/yolo/ckpt-1000"""


def main(argv: Sequence[str] | None = None) -> None:
  """Prints what is in the file that `argv` (None: the command line) names."""
  arguments = _parse(argv)
  checkpoint = open_checkpoint(arguments.file)
  description = _describe(checkpoint, arguments.filter)
  if arguments.json:
    print(json.dumps(description, indent=2, default=str))
  else:
    _print(description, arguments.metadata)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
  parser = Parser(_DESCRIPTION, _EXAMPLES, prog="inspect_checkpoint")
  parser.add_argument("file", metavar="FILE", type=Path, help="the file, or a checkpoint's prefix")
  parser.add_argument("--filter", metavar="GLOB", default="*", help="only names like this [*]")
  parser.add_argument("--metadata", action="store_true", help="print also what is no array")
  parser.add_argument("--json", action="store_true", help="print JSON, with the metadata")
  return parser.parse_args(argv)


def _describe(checkpoint: Checkpoint, pattern: str) -> dict[str, Any]:
  arrays = [
    {"name": name, "shape": list(array.shape), "dtype": array.dtype.name}
    for name, array in checkpoint.arrays.items()
    if fnmatch.fnmatchcase(name, pattern)
  ]
  metadata = {
    name: value for name, value in checkpoint.metadata.items() if fnmatch.fnmatchcase(name, pattern)
  }
  if not arrays and not metadata:
    names = [*checkpoint.arrays, *checkpoint.metadata]
    hint = nearest(pattern, names) or f" ({len(names)} other names; see --help)"
    raise UserError(f"{checkpoint.path} has nothing named like '{pattern}'{hint}")
  return {
    "file": str(checkpoint.path),
    "format": checkpoint.format,
    "numbers": sum(math.prod(array["shape"]) for array in arrays),
    "arrays": arrays,
    "metadata": metadata,
  }


def _print(description: dict[str, Any], with_metadata: bool) -> None:
  arrays, metadata = description["arrays"], description["metadata"]
  print(
    f"{description['file']}: {description['format']}, {len(arrays):,} arrays, "
    f"{description['numbers']:,} numbers"
  )
  print_table(
    "\narrays",
    ("name", "shape", "dtype", "numbers"),
    [(*_cells(array), f"{math.prod(array['shape']):,}") for array in arrays],
  )
  if with_metadata:
    rows = [(_clean(name), _clean(str(value))) for name, value in metadata.items()]
    print_table("\nmetadata", ("name", "value"), rows)
  elif metadata:
    print(f"\n{len(metadata):,} other values (--metadata)")


def _cells(array: dict[str, Any]) -> Iterable[str]:
  return _clean(array["name"]), " × ".join(map(str, array["shape"])) or "()", array["dtype"]


def _clean(text: str) -> str:
  """`text` of the file, which must not play tricks on the terminal, in one line."""
  line = text if text.isprintable() else ascii(text)
  return line if len(line) <= 200 else f"{line[:199]}…"


if __name__ == "__main__":
  app.run(main)
