"""Begins a project: folders, dossier, checklist, the original's side, a draft of its weights."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from official.cli import app
from official.cli.arguments import Parser
from official.cli.errors import UserError
from official.workflow.scaffold import original, project

_ROOT = Path(__file__).resolve().parents[1]
_DESCRIPTION = """\
Begins a project: folders, dossier, checklist, the original's side, a first draft of the weight
rules, tests. It runs, and its gates fail until there is something to pass them. Nothing is written
over. --reference is imported and made: give it only code that you trust."""
_EXAMPLES = """\
  python -m tools.new_project resnet --reference transformers:ResNetForImageClassification
  python -m tools.new_project linear --reference torch.nn:Linear \\
    --arguments '{"in_features": 3, "out_features": 2}'

exit codes: 0 written, 2 a mistake; then nothing is"""


def main(argv: Sequence[str] | None = None) -> None:
  """Writes the project that `argv` (None: the command line) asks for."""
  arguments = _parse(argv)
  project.check_name(_ROOT, arguments.name)
  of = original.make(arguments.reference, arguments.arguments)
  for path in project.write(_ROOT, arguments.name, of):
    print(path)
  print(f"what to do now: python -m tools.workflow next {arguments.name}")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
  parser = Parser(_DESCRIPTION, _EXAMPLES, prog="new_project")
  parser.add_argument("name", metavar="NAME", help="of the package under projects/")
  parser.add_argument(
    "--reference", metavar="MODULE:CLASS", required=True, help="the original, a torch.nn.Module"
  )
  parser.add_argument(
    "--arguments",
    metavar="JSON",
    type=_arguments,
    default={},
    help="its arguments by name; those of its config_class where it has one [none]",
  )
  return parser.parse_args(argv)


def _arguments(text: str) -> dict[str, Any]:
  try:
    arguments = json.loads(text)
  except json.JSONDecodeError as error:
    raise UserError(f"--arguments is no JSON: {error}") from error
  if not isinstance(arguments, dict):
    raise UserError("""--arguments: expected names and values, '{"name": value}'""")
  return arguments


if __name__ == "__main__":
  app.run(main)
