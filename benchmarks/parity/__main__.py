"""Runs all planted defects and clean runs, prints the totals and writes the table."""

import argparse
import dataclasses
import time
from pathlib import Path

from official.cli.app import run
from official.cli.files import write_file
from official.cli.table import print_table

_RESULTS = Path(__file__).with_name("results.md")


def main() -> int:
  """Exit code 0 where the bars hold, 1 where they do not."""
  parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description=__doc__)
  parser.add_argument("--only", default="", help="defects whose title or cause holds this text")
  parser.add_argument("--workers", type=int, default=2, help="processes side by side")
  arguments = parser.parse_args()
  from benchmarks.parity import catalogue, runs, table
  from official.parity.diagnosis.causes import CAUSES

  began = time.monotonic()
  chosen = [d.title for d in catalogue.DEFECTS if arguments.only in f"{d.title} {d.cause}"]
  judgements = runs.run_defects(chosen, arguments.workers)
  for judgement in judgements:
    if not judgement.explained or not judgement.located:
      print(" | ".join(table.row(judgement)), "|", judgement.note, flush=True)
  clean = [] if arguments.only else runs.run_clean(catalogue.CLEAN, arguments.workers)
  for each in clean:
    if each.alarm:
      print(" | ".join(map(str, dataclasses.astuple(each))), flush=True)
  totals = table.Totals.of(judgements, clean)
  print_table("parity: the checker checked", ["", "measured", "bar"], totals.rows())
  print(f"{(time.monotonic() - began) / 60:.0f} minutes")
  if not arguments.only:
    write_file(_RESULTS, table.page(judgements, clean, len(CAUSES)).encode())
  return 0 if totals.passes else 1


if __name__ == "__main__":
  run(main)
