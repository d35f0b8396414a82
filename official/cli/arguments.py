"""Command-line arguments: argparse with examples in the help and one-line errors."""

import argparse
import itertools
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from official.cli.errors import UserError, nearest


class Parser(argparse.ArgumentParser):
  """An argument parser whose `--help` ends with examples and whose errors are `UserError`s.

  Args:
    description: what the command does, in a sentence or two.
    examples: whole command lines, shown under "examples:".
  """

  def __init__(self, description: str, examples: str = "", **kwargs: Any) -> None:
    epilog = f"examples:\n{examples.rstrip()}" if examples else None
    super().__init__(
      description=description,
      epilog=epilog,
      formatter_class=argparse.RawDescriptionHelpFormatter,
      allow_abbrev=False,
      **kwargs,
    )

  def error(self, message: str) -> NoReturn:
    unknown = re.match(r"unrecognized arguments: (\S+)", message)
    if unknown:
      known = itertools.chain.from_iterable(a.option_strings for a in _all_actions(self))
      message += nearest(unknown[1].split("=")[0], known)
    raise UserError(f"{message} (see {self.prog} --help)")


def _all_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
  """The parser's actions and those of its subcommands, whose leftovers it reports."""
  for action in parser._actions:
    yield action
    if isinstance(action, argparse._SubParsersAction):
      for subparser in action.choices.values():
        yield from _all_actions(subparser)
