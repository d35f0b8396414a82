"""Proves without a TPU that an experiment's step compiles and fits on one, or says why not."""

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from official.cli import app
from official.cli.arguments import Parser
from official.training import yaml_files

if TYPE_CHECKING:
  from official.core import config_definitions as cfg
  from official.tpu.check import Check, Options
  from official.tpu.chips import Topology
  from official.tpu.phases import Phases

_DESCRIPTION = """\
Does it compile for a TPU, and does it fit? Takes the very step that Orbit runs, as one replica of
TPUStrategy has it, through tracing, lint, lowering and the real TPU compiler, on a machine without
a TPU. Reports memory, FLOPs, bytes, the bounds that follow from the chip's published figures, and
the layers and lines that cost most. The data need not be at hand. Settings are the experiment's
defaults, then --config_file, then --params_override, as for train.py."""
_EXAMPLES = """\
  python -m tools.tpu_check --experiment=yolo_v4_tiny_coco --topology=v3:2x2
  python -m tools.tpu_check --experiment=yolo_v4_tiny_coco --topology=v5e:4x4 --step=eval \\
    --config_file=configs/yolo/v4_tiny_coco.yaml --report=runs/tpu
  python -m tools.tpu_check --experiment=maskformer_tiny_shapes --topology=v5e:1x1 --lint
  python -m tools.tpu_check --experiment=yolo_v4_tiny_coco --topology=v5e:1x1 --search=batch
  python -m tools.tpu_check --experiment=yolo_v4_tiny_coco --topologies=v3:2x2,v5e:2x2,v5p:2x2x1

exit codes: 0 it fits (every topology; of a search, some batch), 1 it does not, 2 a mistake in
arguments or settings"""
_START = 8  # The first batch of a search.


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command with `argv` (None: the command line) and returns its exit code."""
  flags = _parse(argv)
  from official.tpu import chips

  topologies = [chips.parse(name) for name in flags.topologies or [flags.topology]]
  files = {path: yaml_files.read(path) for path in flags.config_file}
  # From here on TensorFlow is loaded, which takes seconds.
  from official.training import environment

  environment.quiet()
  checks = []
  for topology in topologies:
    checks += _checks(flags, files, topology)
  _report(flags, checks)
  fits = any if flags.search else all
  return 0 if fits(check.fits for check in checks) else 1


def _checks(
  flags: argparse.Namespace, files: dict[str, dict], topology: "Topology"
) -> list["Check"]:
  """The check of one topology; of a search, of each batch that was tried."""
  from official.tpu.check import check
  from official.tpu.phases import Phases
  from official.tpu.search import largest_batch

  with Phases(topology.name) as phases:
    if not flags.search:
      return [check(_params(flags, files), topology, _options(flags, flags.batch, phases))]

    def attempt(batch: int) -> "Check":
      return check(_params(flags, files), topology, _options(flags, batch, phases))

    return largest_batch(attempt, flags.batch or _START)


def _params(flags: argparse.Namespace, files: dict[str, dict]) -> "cfg.ExperimentConfig":
  """The experiment, anew: a check sets its batch."""
  import projects.registry  # noqa: F401
  from official.training import settings

  for name in flags.registry:
    importlib.import_module(name)
  params = settings.experiment(flags.experiment)
  for path, values in files.items():
    settings.override(params, values, path)
  settings.override(params, settings.parse_override(flags.params_override), "--params_override")
  return params


def _options(flags: argparse.Namespace, batch: int | None, phases: "Phases") -> "Options":
  from official.tpu import compiling
  from official.tpu.check import Options

  return Options(
    kind=flags.step,
    batch=batch,
    lint_only=flags.lint,
    limit=flags.time_limit,
    cache=None if flags.no_cache else compiling.default_cache(),
    tell=phases.tell,
  )


def _report(flags: argparse.Namespace, checks: Sequence["Check"]) -> None:
  from official.tpu.check import environment
  from official.tpu.report import json_file, page, terminal

  written = None
  if flags.report:
    written = page.write_page(flags.experiment, checks, flags.report)
    path = flags.report / "report.json"
    json_file.write_json(flags.experiment, checks, environment(), path)
  if len(checks) == 1:
    terminal.print_check(checks[0], page=written, full=flags.full)
    return
  terminal.print_checks(checks)
  if flags.search:
    best = max((check.batch for check in checks if check.fits), default=0)
    print(f"largest batch of a replica that fits {checks[0].topology.name}: {best or 'none'}")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
  parser = Parser(_DESCRIPTION, _EXAMPLES, prog="tpu_check")
  add = parser.add_argument
  add("--experiment", required=True, metavar="NAME", help="a registered experiment")
  add("--config_file", metavar="FILE", action="append", default=[], help="as for train.py")
  add("--params_override", metavar="SETTINGS", default="", help="as for train.py")
  add("--topology", metavar="CHIPS", help="such as v3:2x2, v5e:4x4, v5p:8x8x8")
  add("--topologies", metavar="A,B,…", type=_names, help="several, one line for each")
  add("--step", choices=("train", "eval"), default="train", help="which step [train]")
  add("--batch", metavar="N", type=_positive, help="images a replica [global batch ÷ replicas]")
  add("--search", choices=("batch",), help="find the largest batch of a replica that fits")
  add("--lint", action="store_true", help="only trace and lint, in seconds; do not compile")
  add("--time_limit", metavar="S", type=_positive, help="stop the compiler after S seconds")
  add("--no_cache", action="store_true", help="compile anew, and remember nothing")
  add("--report", metavar="DIR", type=Path, help="write index.html and report.json")
  add("--full", action="store_true", help="print every finding")
  add(
    "--registry",
    metavar="MODULE",
    action="append",
    default=[],
    help="import it first: it registers experiments that are not this repository's",
  )
  flags = parser.parse_args(argv)
  if bool(flags.topology) == bool(flags.topologies):
    parser.error("give either --topology or --topologies")
  return flags


def _names(text: str) -> list[str]:
  return [name.strip() for name in text.split(",") if name.strip()]


def _positive(text: str) -> int:
  number = int(text) if text.isdigit() else 0
  if not number:
    raise argparse.ArgumentTypeError(f"'{text}' is no positive number")
  return number


if __name__ == "__main__":
  app.run(main)
