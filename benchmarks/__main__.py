"""Every benchmark, one after the other: ours beside upstream's, measured in the same run."""

import argparse
import subprocess
import sys

_BENCHMARKS = (
  "convergence",
  "convert",
  "maskformer_step",
  "matching",
  "panoptic",
  "pipeline",
  "recording",
  "segmentation",
  "train_step",
  "whole_network",
  "yolo_speed",
)


def main() -> int:
  """Runs those that are named, or all; each in a process of its own."""
  parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
  parser.add_argument("names", nargs="*", default=_BENCHMARKS, help=", ".join(_BENCHMARKS))
  names = parser.parse_args().names
  for name in names:
    if name not in _BENCHMARKS:
      parser.error(f"no benchmark '{name}': choose from {', '.join(_BENCHMARKS)}")
  return max(subprocess.call([sys.executable, "-m", f"benchmarks.{name}"]) for name in names)


if __name__ == "__main__":
  sys.exit(main())
