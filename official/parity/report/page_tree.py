"""The tree of taps in the page: branches that differ are open, and it can be searched."""

import html
from collections.abc import Iterator, Sequence

from official.parity.report import digest, tree
from official.parity.report.digest import Shade, engineering
from official.parity.result import Finding, Status
from official.reports.page import Page

OPEN = (Shade.DIFFERENT, Shade.UNPAIRED)  # Branches with one of these are open.
_CLASSES = {shade: shade.value.split()[0] for shade in Shade}


def shade_class(shade: Shade) -> str:
  """The class of `page_style` that colours `shade`."""
  return _CLASSES[shade]


def add_tree(page: Page, findings: Sequence[Finding]) -> None:
  """The section of the tree; nothing where no tap was compared."""
  root, columns = tree.build(findings)
  if not columns:
    return
  page.heading("Layers")
  page.paragraph(
    "Each tap's largest error by phase; hover for limits and reasons. Amber: differs end to end, "
    "but not when the layer is fed what the original's is fed, so the fault lies before it."
  )
  head = "".join(f"<span>{html.escape(name)}</span>" for name in columns)
  page.markup(
    '<input class="search" type="search" placeholder="search by path" aria-label="search by path">'
    f'<div class="tree" style="--columns: {len(columns)}">'
    f'<div class="row head"><b>layer</b>{head}</div>'
  )
  page.markup("".join(_node(root, columns)))
  page.markup("</div>")


def _node(node: tree.Node, columns: Sequence[str]) -> Iterator[str]:
  shade = node.shade
  path, row = html.escape(node.path), _row(node, shade, columns)
  if not node.children:
    yield f'<div class="leaf" data-path="{path}"><div class="row">{row}</div></div>'
    return
  state = " open" if shade in OPEN else ""
  yield f'<details data-path="{path}"{state}><summary class="row">{row}</summary><div class="in">'
  for child in node.children.values():
    yield from _node(child, columns)
  yield "</div></details>"


def _row(node: tree.Node, shade: Shade, columns: Sequence[str]) -> str:
  layer = f" <i>{html.escape(node.layer)}</i>" if node.layer else ""
  cells = "".join(_cell(node.findings.get(name)) for name in columns)
  return f'<b class="{shade_class(shade)}">{html.escape(node.label)}{layer}</b>{cells}'


def _cell(finding: Finding | None) -> str:
  if finding is None:
    return "<span></span>"
  title = html.escape(description(finding))
  style = shade_class(digest.shade(finding))
  return f'<span class="{style}" title="{title}">{html.escape(_text(finding))}</span>'


def _text(finding: Finding) -> str:
  if finding.status in (Status.EXCUSED, Status.UNPAIRED):
    return finding.status
  if finding.forced_error is None or finding.status.passes:
    return engineering(finding.error)
  return f"{engineering(finding.error)} ({engineering(finding.forced_error)})"


def description(finding: Finding) -> str:
  """Everything about `finding`, on one line."""
  pair = f"{finding.name} ↔ {finding.reference}" if finding.reference else finding.name
  reason = f": {finding.reason}" if finding.reason else ""
  return f"{pair}: {finding.status}, {digest.numbers(finding)}{reason}"
