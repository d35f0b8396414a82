"""Help and errors of the argument parser."""

import pytest

from official.cli.arguments import Parser
from official.cli.errors import UserError


def parser():
  made = Parser("Does it.", "  tool --size 3\n  tool --help\n", prog="tool")
  made.add_argument("--size", type=int)
  commands = made.add_subparsers(parser_class=Parser)
  commands.add_parser("make", description="Makes.").add_argument("--output")
  return made


def test_help_ends_with_the_examples(capsys):
  with pytest.raises(SystemExit) as caught:
    parser().parse_args(["--help"])
  assert caught.value.code == 0
  assert capsys.readouterr().out.endswith("examples:\n  tool --size 3\n  tool --help\n")


@pytest.mark.parametrize(
  ("argv", "message"),
  [
    (["--sise=3"], "unrecognized arguments: --sise=3; did you mean '--size'? (see tool --help)"),
    (["--sise=a_long_value"], "unrecognized arguments: --sise=a_long_value; did you mean '--size'"),
    (["--zzzzzzzz"], "unrecognized arguments: --zzzzzzzz (see tool --help)"),
    (["--size", "x"], "argument --size: invalid int value: 'x' (see tool --help)"),
    (["--siz=3"], "unrecognized arguments: --siz=3; did you mean '--size'? (see tool --help)"),
    (["make", "--outptu=a"], "unrecognized arguments: --outptu=a; did you mean '--output'?"),
  ],
)
def test_errors_are_one_line_with_the_nearest_flag(argv, message):
  with pytest.raises(UserError) as caught:
    parser().parse_args(argv)
  assert str(caught.value).startswith(message)
  assert "\n" not in str(caught.value)
