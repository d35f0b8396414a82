"""Tables: drawn on a terminal, aligned plain text elsewhere."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
  """Prints `rows` under `header`, on stdout; as plain text each row is one line."""
  if sys.stdout.isatty():
    table = Table(title=title, title_justify="left")
    for name in header:
      table.add_column(name, overflow="fold")
    for row in rows:
      table.add_row(*row)
    Console().print(table, markup=False)
    return
  widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
  print(title)
  for row in (header, *rows):
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    print(f"  {'  '.join(cells).rstrip()}")
