"""Shows where a project stands on its way to release, and keeps the evidence."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from official.cli import app
from official.cli.arguments import Parser
from official.cli.errors import UserError
from official.cli.files import write_file
from official.workflow import checking, history, judging, mending, project, records, running
from official.workflow.judging import Standing, State
from official.workflow.project import Project
from official.workflow.report import badge, page, terminal
from projects import dossiers

_ROOT = Path(__file__).resolve().parents[1]
_DESCRIPTION = """\
Where does a model stand on its way from its paper to its release? Five stages end in gates; a gate
is a command, and what a run of it gave is kept in projects/PROJECT/evidence with the code, weights,
data and versions that it is about. Evidence of other code is stale, and no gate is green by it."""
_EXAMPLES = """\
  python -m tools.workflow status yolo --page runs/workflow/yolo.html
  python -m tools.workflow next maskformer
  python -m tools.workflow run yolo loss parity/v4-tiny
  python -m tools.workflow check yolo --base origin/main     (in CI)
  python -m tools.workflow mend yolo

exit codes: 0 yes, 1 no (check: something is wrong; run: a gate failed), 2 a mistake"""


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command with `argv` (None: the command line) and returns its exit code."""
  arguments = _parser().parse_args(argv)
  return arguments.command(arguments) or 0


def _parser() -> Parser:
  parser = Parser(_DESCRIPTION, _EXAMPLES, prog="workflow")
  commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
  status = _add(commands, "status", _status, "show the gates and what the evidence says of them")
  status.add_argument("--page", metavar="FILE", type=Path, help="write an HTML page, too")
  status.add_argument("--badge", action="store_true", help="write the README's badge, too")
  check = _add(commands, "check", _check, "say whether the evidence may be believed")
  check.add_argument(
    "--base", metavar="REV", default="HEAD", help="git's revision to fall behind is wrong [HEAD]"
  )
  _add(commands, "next", _next, "say what to do now")
  run = _add(commands, "run", _run, "run gates and record what they give")
  run.add_argument("gates", metavar="GATE", nargs="+", help="see `workflow status PROJECT`")
  _add(commands, "analysis", _analysis, "check reengineering.yaml and the dossier's claims")
  _add(commands, "mend", _mend, "mend damaged evidence; nothing is thrown away")
  return parser


def _add(
  commands: "argparse._SubParsersAction[Parser]",
  name: str,
  command: Callable[[argparse.Namespace], int | None],
  help_: str,
) -> Parser:
  parser = commands.add_parser(
    name, help=help_, description=f"{help_[0].upper()}{help_[1:]}.", examples=_EXAMPLES
  )
  parser.set_defaults(command=command)
  parser.add_argument("project", metavar="PROJECT", help="a folder of projects/")
  return parser


def _status(arguments: argparse.Namespace) -> None:
  standing = judging.judge(project.load(_ROOT, arguments.project))
  terminal.print_standing(standing)
  if arguments.page:
    page.write_page(standing, arguments.page)
    print(f"page: {arguments.page}")
  if arguments.badge:
    _write_badge(standing)


def _check(arguments: argparse.Namespace) -> int:
  if arguments.base != "HEAD" and not history.knows(_ROOT, arguments.base):
    raise UserError(f"--base: git knows no revision '{arguments.base}'; fetch it first")
  standing = judging.judge(project.load(_ROOT, arguments.project), arguments.base)
  found = checking.findings(standing)
  for line in found:
    print(line)
  green = sum(row.state is State.PASSED for row in standing.verdicts)
  print(f"{arguments.project}: {len(found)} findings; {green} gates green")
  return 1 if found else 0


def _next(arguments: argparse.Namespace) -> None:
  standing = judging.judge(project.load(_ROOT, arguments.project))
  print("\n".join(terminal.next_lines(standing)))


def _run(arguments: argparse.Namespace) -> int:
  of = project.load(_ROOT, arguments.project)
  for name in arguments.gates:
    of.binding(name)
  results = [_run_one(of, name) for name in arguments.gates]
  _write_badge(judging.judge(of))
  return 0 if all(result == records.PASSED for result in results) else 1


def _run_one(of: Project, name: str) -> str:
  record = running.run(of, name, print)
  why = f": {record.reason}" if record.reason else ""
  print(f"{name}: {record.result}{why}, {record.seconds:.0f} s", flush=True)
  return record.result


def _analysis(arguments: argparse.Namespace) -> None:
  of = project.load(_ROOT, arguments.project)
  if open_items := [item for item, answer in of.file.checklist.items() if answer == "TODO"]:
    path = f"projects/{of.name}/reengineering.yaml"
    raise UserError(f"{path} leaves items of the checklist open: {', '.join(open_items)}")
  dossier = dossiers.of_project(of.name)
  if not any(variant.claims for variant in dossier.variants.values()):
    raise UserError(f"projects/{of.name}/dossier.py claims no figure: state what the paper reached")
  print(
    f"{of.name}: {len(of.file.checklist)} items answered, {len(of.file.deviations)} deviations,"
    f" {len(of.file.defects)} defects, {len(dossier.variants)} variants"
  )


def _mend(arguments: argparse.Namespace) -> None:
  of = project.load(_ROOT, arguments.project)
  print("\n".join(mending.mend(of.ledger)))
  _write_badge(judging.judge(of))


def _write_badge(standing: Standing) -> None:
  write_file(badge.path(standing.project), badge.draw(standing).encode())


if __name__ == "__main__":
  app.run(main)
