"""Every experiment under configs/ through the TPU's compiler: the train and the eval step.

Each is checked for the topology that its header names, by `tools/tpu_check.py` in a process of its
own, one after the other. Rows are kept beside this file: what is there is not checked again unless
its file is named. Where a step does not fit, the largest batch of a replica that does is sought.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tqdm import tqdm

from official.cli.files import write_file

_ROOT = Path(__file__).resolve().parents[1]
_ROWS, _TABLE = (Path(__file__).with_name(f"tpu_table.{end}") for end in ("json", "md"))
_STEPS = ("train", "eval")
_HEAD = (
  "experiment",
  "step",
  "topology",
  "images a core",
  "fits",
  "HBM",
  "at least",
  "compiled in",
)
_NAMED = re.compile(r"--experiment=(\S+).*\(topology (\S+?)\)", re.S)


def main(files: list[Path], limit: int) -> None:
  """Checks `files`, or all that have no row yet; `limit` is for each compilation, in seconds."""
  rows = json.loads(_ROWS.read_text()) if _ROWS.exists() else {}
  missing = [
    (path, step)
    for path in files or sorted((_ROOT / "configs").glob("*/*.yaml"))
    for step in _STEPS
    if _NAMED.search(path.read_text()) and (files or _key(path, step) not in rows)
  ]
  for path, step in tqdm(missing, unit="steps"):
    rows[_key(path, step)] = _checked(path, step, limit)
    write_file(_ROWS, f"{json.dumps(rows, indent=1, sort_keys=True)}\n".encode())
  write_file(_TABLE, _markdown(rows).encode())
  print(f"{sum(row['fits'] for row in rows.values())} of {len(rows)} steps fit: {_TABLE}")


def _key(path: Path, step: str) -> str:
  return f"{path.parent.name}/{path.stem} {step}"


def _checked(path: Path, step: str, limit: int) -> dict[str, Any]:
  """The row of a step; with the largest batch that fits where it does not."""
  row, *_ = _rows(path, step, limit)
  if not row["fits"] and row["batch"] > 1:
    tried = _rows(path, step, limit, "--search=batch", f"--batch={row['batch'] // 2}")
    row["largest"] = max((each["batch"] for each in tried if each["fits"]), default=0)
  return row


def _rows(path: Path, step: str, limit: int, *more: str) -> list[dict[str, Any]]:
  experiment, topology = _NAMED.search(path.read_text()).groups()
  with tempfile.TemporaryDirectory() as folder:
    command = [sys.executable, "-m", "tools.tpu_check", f"--experiment={experiment}"]
    command += [f"--config_file={path}", f"--topology={topology}", f"--step={step}"]
    command += [f"--time_limit={limit}", f"--report={folder}", *more]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.DEVNULL, check=False)
    if done.returncode not in (0, 1):
      raise SystemExit(f"{path}: the check itself failed")
    report = json.loads((Path(folder) / "report.json").read_text())
  return [_row(check) for check in report["checks"]]


def _row(check: dict[str, Any]) -> dict[str, Any]:
  budget = check["budget"] or {}
  errors = [found["reason"] for found in check["findings"] if found["level"] == "error"]
  return {
    **{name: check[name] for name in ("topology", "batch", "fits", "compiler_seconds")},
    "memory": budget.get("memory", {}).get("total"),
    "capacity": budget.get("memory", {}).get("capacity"),
    "bound_seconds": budget.get("bound_seconds"),
    "reason": "" if check["fits"] else "; ".join(errors) or "too little memory",
  }


def _markdown(rows: dict[str, dict[str, Any]]) -> str:
  lines = ["Made by `make tpu-table`.", "", _line(_HEAD), _line(["---"] * len(_HEAD))]
  lines += [_line(_cells(key, row)) for key, row in sorted(rows.items())]
  return "\n".join(lines) + "\n"


def _line(cells: Any) -> str:
  return f"| {' | '.join(cells)} |"


def _cells(key: str, row: dict[str, Any]) -> list[str]:
  name, step = key.split()
  fits = "yes" if row["fits"] else f"no: {row['reason']}"
  if "largest" in row:
    fits += f"; {row['largest'] or 'none'} would"
  memory = (
    f"{row['memory'] / 2**30:.1f} of {row['capacity'] / 2**30:.0f} GiB" if row["memory"] else ""
  )
  bound = f"{row['bound_seconds'] * 1e3:.0f} ms" if row["bound_seconds"] else ""
  spent = f"{row['compiler_seconds']:.0f} s" if row["compiler_seconds"] else ""
  return [name, step, row["topology"], str(row["batch"]), fits, memory, bound, spent]


if __name__ == "__main__":
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument(
    "files", nargs="*", type=Path, help="configurations, anew [all without a row]"
  )
  parser.add_argument(
    "--limit", type=int, default=1800, help="seconds of a compilation [%(default)s]"
  )
  args = parser.parse_args()
  main(args.files, args.limit)
