"""Proves that a project's networks are their originals, or says where and why they are not."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from official.cli import app
from official.cli.arguments import Parser
from official.cli.errors import UserError, nearest
from official.cli.progress import Progress
from official.cli.table import print_table
from official.parity.case import PRECISIONS, STAGES, ParityCase
from official.parity.recording.tiers import Tier
from official.parity.sides import stage_names
from projects import dossiers

if TYPE_CHECKING:
  from official.parity.session import Outcome

_DESCRIPTION = """\
Is it the same model, and if not, where and why? Runs an original (PyTorch) and our network on the
same weights and inputs, and compares hyper-parameters, every layer's outputs, losses, gradients,
optimizer steps, preprocessing and post-processing. float64 asks whether the two mean the same;
float32 and bfloat16 whether ours errs no more than the original does itself."""
_EXAMPLES = """\
  python -m tools.parity list
  python -m tools.parity run yolo v4-tiny --report runs/parity
  python -m tools.parity run yolo v4-csp --stages forward,gradients --precision float32 --seed 1
  python -m tools.parity run yolo v3-tiny --stages trajectory --steps 10
  python -m tools.parity record yolo v4-tiny v4-tiny.safetensors     (where torch is)
  python -m tools.parity run yolo v4-tiny --recording v4-tiny.safetensors     (where it is not)
  python -m tools.parity map yolo v4-tiny > projects/yolo/reference/weights.py

exit codes: 0 the same, 1 not the same, 2 a mistake in the arguments or in the case"""
_RECORDINGS = 4  # Of the original in two precisions, of the candidate; and the diagnoses.


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command with `argv` (None: the command line) and returns its exit code."""
  arguments = _parser().parse_args(argv)
  return arguments.command(arguments) or 0


def _parser() -> Parser:
  parser = Parser(_DESCRIPTION, _EXAMPLES, prog="parity")
  commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
  _add(commands, "list", _list, "list projects and their cases", case=False)
  _add(commands, "map", _map, "propose the weights' rules, for a person to accept")
  record = _add(commands, "record", _record, "record the original, for runs without it")
  record.add_argument("file", metavar="FILE", type=Path, help="the recording to make")
  _add_options(record)
  record.add_argument(
    "--tier",
    choices=[tier.value for tier in Tier],
    default=Tier.FULL.value,
    help="keep whole arrays, figures of them (no layer is told apart), or shapes [full]",
  )
  run = _add(commands, "run", _run, "compare ours with the original")
  _add_options(run)
  run.add_argument("--recording", metavar="FILE", type=Path, help="use it instead of the original")
  run.add_argument("--report", metavar="DIR", type=Path, help="write index.html and report.json")
  run.add_argument("--full", action="store_true", help="print what is the same, too")
  return parser


def _add(
  commands: "argparse._SubParsersAction[Parser]",
  name: str,
  command: Callable[[argparse.Namespace], int | None],
  help_: str,
  case: bool = True,
) -> Parser:
  parser = commands.add_parser(
    name, help=help_, description=f"{help_[0].upper()}{help_[1:]}.", examples=_EXAMPLES
  )
  parser.set_defaults(command=command)
  if case:
    parser.add_argument("project", metavar="PROJECT", help="see `parity list`")
    parser.add_argument("variant", metavar="VARIANT", help="see `parity list`")
  return parser


def _add_options(parser: Parser) -> None:
  add = parser.add_argument
  add("--precision", metavar="P", default="float64", help=f"{', '.join(PRECISIONS)} [float64]")
  add("--stages", metavar="S,…", help=f"some of {','.join(STAGES)} [all that the case has]")
  add("--steps", metavar="K", type=_positive, default=3, help="training steps [3]")
  add("--seed", metavar="N", type=int, default=0, help="of weights and batches [0]")


def _positive(text: str) -> int:
  number = int(text) if text.isdigit() else 0
  if not number:
    raise argparse.ArgumentTypeError(f"'{text}' is no positive number")
  return number


def _list(arguments: argparse.Namespace) -> None:
  rows = [
    (name, variant, case.name, "here, or recorded" if case.reference else "recorded only")
    for name in dossiers.names()
    if (cases := dossiers.of_project(name).parity)
    for variant, case in cases().items()
  ]
  print_table("parity cases", ("project", "variant", "case", "the original runs"), rows)


def _map(arguments: argparse.Namespace) -> None:
  case = _case(arguments)
  _quiet()
  from official.checkpoints import proposals
  from official.parity import proposing

  print(proposals.format_rules(proposing.propose(case)), end="")


def _record(arguments: argparse.Namespace) -> None:
  case, stages = _case(arguments), _stages(arguments)
  from official.parity.sides import original

  files = [arguments.file]
  if arguments.precision != "float64":
    files.append(original.golden_path(arguments.file))
  with _Parts(len(files)) as parts:
    original.record(
      case,
      arguments.file,
      arguments.precision,
      stages=stages,
      steps=arguments.steps,
      seed=arguments.seed,
      tier=Tier(arguments.tier),
      tell=parts.begin,
    )
  print(f"wrote {', '.join(map(str, files))}")


def _run(arguments: argparse.Namespace) -> int:
  case, stages = _case(arguments), _stages(arguments)
  outcome = _outcome(case, stages, arguments)
  from official.parity.report import json_file, page, terminal

  written = None
  if arguments.report:
    written = page.write_page(outcome.result, arguments.report, outcome.arrays)
    json_file.write_json(outcome.result, arguments.report / "report.json")
  terminal.print_result(outcome.result, page=written, full=arguments.full)
  return 0 if outcome.result.same else 1


def _outcome(
  case: ParityCase, stages: Sequence[str] | None, arguments: argparse.Namespace
) -> "Outcome":
  _quiet()
  from official.parity import session

  with _Parts(_RECORDINGS + len(stages or STAGES)) as parts:
    return session.examine(
      case,
      arguments.precision,
      stages=stages,
      steps=arguments.steps,
      seed=arguments.seed,
      recording=arguments.recording,
      tell=parts.begin,
    )


class _Parts(Progress):
  """Progress over parts of work that are told when they begin.

  Args:
    total: how many there are at most.
  """

  def __init__(self, total: int) -> None:
    super().__init__("parity", total, "parts")
    self._left, self._begun = total, False

  def begin(self, text: str) -> None:
    """The part `text` begins; the one before it is done."""
    self.advance(int(self._begun), text)
    self._left -= int(self._begun)
    self._begun = True

  def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
    if kind is None:
      self.advance(self._left, "done")
    super().__exit__(kind, error, trace)


def _quiet() -> None:
  # From here on TensorFlow is loaded, which takes seconds.
  from official.training import environment

  environment.quiet()


def _case(arguments: argparse.Namespace) -> ParityCase:
  dossier = dossiers.of_project(arguments.project)
  cases = dossier.parity() if dossier.parity else {}
  if not cases:
    raise UserError(
      f"{dossier.name} states no parity cases (in projects/{dossier.name}/dossier.py)"
    )
  if arguments.variant not in cases:
    hint = nearest(arguments.variant, cases)
    raise UserError(
      f"{dossier.name} has no case '{arguments.variant}'{hint} (it has {', '.join(cases)})"
    )
  return cases[arguments.variant]


def _stages(arguments: argparse.Namespace) -> list[str] | None:
  if arguments.stages is None:
    return None
  return list(stage_names.checked(arguments.stages.split(",")))


if __name__ == "__main__":
  app.run(main)
