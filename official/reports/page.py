"""A self-contained HTML page: headings, tables, figures; nothing from elsewhere."""

import base64
import contextlib
import dataclasses
import html
import io
from collections.abc import Iterable, Iterator, Sequence

from PIL import Image

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --paper: #fff; --faint: #5a6472; --line: #d5dae3;
  --plate: #f4f6f9; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7ee; --paper: #14181f; --faint: #9aa5b4;
  --line: #333c49; --plate: #1d232c; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
  color: var(--ink); background: var(--paper); }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; margin: 1rem 0; } th { text-align: left; }
td, th { padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
pre { background: var(--plate); padding: 1rem; overflow: auto; font-size: 13px;
  max-height: 24rem; }
figure { display: inline-block; margin: .5rem 1rem .5rem 0; vertical-align: top; }
figcaption { font-size: 13px; color: var(--faint); }
img { max-width: 100%; height: auto; display: block; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(26rem, 1fr)); gap: 1rem; }
.grid figure { margin: 0; }
.big { font-size: 1.6rem; font-weight: 600; }
"""


@dataclasses.dataclass(frozen=True)
class Cell:
  """A cell of a table, `text` in a style of its own: `number`, or one that the page brings."""

  text: str
  style: str


class Page:
  """Collects sections and writes them as one file.

  Args:
    title: of the page, in plain text.
    style: CSS beyond the common one.
    script: JavaScript that runs when the page is there; what it does must not be needed to read.
  """

  def __init__(self, title: str, style: str = "", script: str = "") -> None:
    self._title = html.escape(title)
    self._style, self._script = _STYLE + style, script and f"<script>{script}</script>"
    self._parts: list[str] = []

  def heading(self, text: str) -> None:
    """Begins a section."""
    self._parts.append(f"<h2>{html.escape(text)}</h2>")

  def paragraph(self, text: str, style: str = "") -> None:
    """A paragraph of plain text; `big` is the style of a headline figure."""
    self._parts.append(f'<p class="{style}">{html.escape(text)}</p>')

  def code(self, text: str) -> None:
    """Text as it is: a command, a configuration."""
    self._parts.append(f"<pre>{html.escape(text)}</pre>")

  def table(self, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table of `Cell`s and plain values; numbers stand to the right, fractions with four
    digits."""
    self._parts.append(
      "<table><tr>" + "".join(f"<th>{html.escape(c)}</th>" for c in head) + "</tr>"
    )
    for row in rows:
      self._parts.append("<tr>" + "".join(map(_cell, row)) + "</tr>")
    self._parts.append("</table>")

  @contextlib.contextmanager
  def folded(self, summary: str) -> Iterator[None]:
    """What is added inside is shown on a click on `summary`."""
    self._parts.append(f"<details><summary>{html.escape(summary)}</summary>")
    yield
    self._parts.append("</details>")

  def markup(self, text: str) -> None:
    """HTML of the caller's, who has escaped what needs it."""
    self._parts.append(text)

  def svg(self, picture: bytes, caption: str = "") -> None:
    """A drawing, as matplotlib writes it."""
    self._parts.append(_figure("svg+xml", picture, caption))

  def images(self, images: Iterable[tuple[Image.Image, str]]) -> None:
    """A grid of images with captions."""
    figures = (_figure("png", _png(image), caption) for image, caption in images)
    self._parts.append(f'<div class="grid">{"".join(figures)}</div>')

  def render(self) -> str:
    """The page."""
    body = "\n".join(self._parts)
    return (
      f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{self._title}</title>'
      f'<meta name="viewport" content="width=device-width">'
      f"<style>{self._style}</style></head><body>\n<h1>{self._title}</h1>\n{body}\n{self._script}"
      "</body></html>\n"
    )


def _cell(value: object) -> str:
  if isinstance(value, Cell):
    return f'<td class="{html.escape(value.style)}">{html.escape(value.text)}</td>'
  if isinstance(value, (int, float)):
    text = f"{value:.4f}" if isinstance(value, float) else f"{value:,}"
    return f'<td class="number">{text}</td>'
  return f"<td>{html.escape(str(value))}</td>"


def _figure(kind: str, data: bytes, caption: str) -> str:
  source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
  text = html.escape(caption)
  return f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def _png(image: Image.Image) -> bytes:
  target = io.BytesIO()
  image.save(target, "PNG")
  return target.getvalue()
