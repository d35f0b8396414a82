"""Describes a project: its variants with parameters, FLOPs, output shapes and published figures."""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from official.cli import app
from official.cli.arguments import Parser
from official.cli.errors import UserError, nearest
from official.cli.table import print_table
from official.dossiers.dossier import Dossier
from projects import dossiers

_DESCRIPTION = """\
Describes a project's variants as their experiments configure them: parameters, FLOPs at the
experiment's input size, output shapes, and what the authors published. FLOPs are those of inference
on one image: twice the multiply-adds of convolutions and matrix products."""
_EXAMPLES = """\
  python -m tools.describe yolo
  python -m tools.describe yolo v4-tiny --json
  python -m tools.describe yolo v4-csp --params_override=task.model.input_size=512"""

Description = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> None:
  """Builds the networks that `argv` (None: the command line) names, and prints what they are."""
  arguments = _parse(argv)
  dossier = dossiers.of_project(arguments.project)
  names = _variants(dossier, arguments.variant)
  # From here on TensorFlow is loaded, which takes seconds.
  variants = [_describe(dossier, name, arguments.params_override) for name in names]
  papers = [dataclasses.asdict(paper) for paper in dossier.papers]
  if arguments.json:
    print(json.dumps({"project": dossier.name, "papers": papers, "variants": variants}, indent=2))
  else:
    _print(dossier, variants)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
  parser = Parser(_DESCRIPTION, _EXAMPLES, prog="describe")
  parser.add_argument("project", metavar="PROJECT", help=f"one of: {', '.join(dossiers.names())}")
  parser.add_argument("variant", metavar="VARIANT", nargs="?", help="one variant [all]")
  parser.add_argument("--json", action="store_true", help="print JSON")
  parser.add_argument(
    "--params_override",
    metavar="SETTINGS",
    default="",
    help="change the experiments' settings, as train.py does",
  )
  return parser.parse_args(argv)


def _variants(dossier: Dossier, name: str | None) -> list[str]:
  known = list(dossier.variants)
  if name is None:
    return known
  if name not in known:
    raise UserError(
      f"{dossier.name} has no variant '{name}'{nearest(name, known)} (it has {', '.join(known)})"
    )
  return [name]


def _describe(dossier: Dossier, name: str, overrides: str) -> Description:
  from official.training import environment

  environment.quiet()
  import projects.registry  # noqa: F401
  from official.core import task_factory
  from official.inspection.summary import summarize
  from official.training import settings

  variant = dossier.variants[name]
  params = settings.experiment(variant.experiment)
  settings.override(params, settings.parse_override(overrides), "--params_override")
  shape = dossier.input_shape(params.task)
  model = task_factory.get_task(params.task).build_model()
  return {
    "name": name,
    "experiment": variant.experiment,
    "input": list(shape),
    **dataclasses.asdict(summarize(model, shape)),
    "claims": [dataclasses.asdict(claim) for claim in variant.claims],
  }


def _print(dossier: Dossier, variants: list[Description]) -> None:
  print("\n".join(f"{paper.title}  {paper.url}" for paper in dossier.papers))
  print_table(
    f"\nvariants of {dossier.name}",
    ("variant", "experiment", "input", "parameters", "trainable", "GFLOPs"),
    [_figures(variant) for variant in variants],
  )
  print_table(
    "\noutputs for one image",
    ("variant", "output", "shape"),
    [(v["name"], path, _shape(shape)) for v in variants for path, shape in v["outputs"].items()],
  )
  print_table(
    "\npublished",
    ("variant", "metric", "value", "input", "data", "source"),
    [(v["name"], *_claim(claim)) for v in variants for claim in v["claims"]],
  )


def _figures(variant: Description) -> tuple[str, ...]:
  return (
    variant["name"],
    variant["experiment"],
    _shape(variant["input"]),
    f"{variant['parameters']:,}",
    f"{variant['trainable']:,}",
    f"{variant['flops'] / 1e9:.3f}",
  )


def _claim(claim: Description) -> tuple[str, ...]:
  size = str(claim["input_size"])
  return claim["metric"], f"{claim['value']:.3f}", size, claim["data"], claim["source"]


def _shape(shape: list[int | None]) -> str:
  return " × ".join("?" if size is None else str(size) for size in shape)


if __name__ == "__main__":
  app.run(main)
