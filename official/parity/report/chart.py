"""A chart with a logarithmic axis as inline SVG, whose points tell their names."""

import dataclasses
import html
import math
from collections.abc import Iterable, Sequence

_WIDTH, _HEIGHT = 960, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 950, 14, 262  # Edges of the axes.
_MOST_TICKS = 7
_EMPTY_DECADES = (-16, 0)  # Where there is no positive finite value to go by.


@dataclasses.dataclass(frozen=True)
class Series:
  """Points of one kind.

  Attributes:
    label: for the legend; empty: it is not in it.
    style: classes of `page_style`: its colour.
    points: (x, y, what it is), ascending in x; a y of 0 stands on the lower edge, one that is not
      finite on the upper one.
    line: whether they are joined instead of drawn as dots; lines have no names.
  """

  label: str
  style: str
  points: Sequence[tuple[float, float, str]]
  line: bool = False


def log_chart(title: str, xlabel: str, series: Sequence[Series]) -> str:
  """The chart as HTML; empty where there is nothing to draw."""
  series = [one for one in series if one.points]
  if not series:
    return ""
  axes = _Axes.around([point for one in series for point in one.points])
  parts = [*axes.grid(), *(text for one in series for text in _draw(one, axes))]
  keys = "".join(
    f'<span class="key {s.style}">{html.escape(s.label)}</span>' for s in series if s.label
  )
  return (
    f'<figure class="chart"><figcaption><b>{html.escape(title)}</b> {keys}</figcaption>'
    f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(title)}">'
    f"{''.join(parts)}"
    f'<text class="tick" x="{_RIGHT}" y="{_HEIGHT - 6}" text-anchor="end">{html.escape(xlabel)}'
    "</text></svg><output></output></figure>"
  )


def _draw(series: Series, axes: "_Axes") -> Iterable[str]:
  if series.line:
    path = " ".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y, _ in series.points)
    yield f'<polyline class="{series.style}" points="{path}"/>'
    return
  yield f'<g class="{series.style}">'
  for x, y, name in series.points:
    yield f'<circle cx="{axes.x(x):.1f}" cy="{axes.y(y):.1f}" r="3">'
    yield f"<title>{html.escape(name)}</title></circle>"
  yield "</g>"


@dataclasses.dataclass(frozen=True)
class _Axes:
  """From values to places; `zero` and `infinite` say whether such values are among them, `whole`
  that the axis counts."""

  xs: tuple[float, float]
  whole: bool
  decades: tuple[int, int]
  zero: bool
  infinite: bool

  @classmethod
  def around(cls, points: Sequence[tuple[float, float, str]]) -> "_Axes":
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    logs = [math.log10(y) for y in ys if 0 < y < math.inf]
    low, high = (min(logs), max(logs)) if logs else _EMPTY_DECADES
    wide = (math.floor(low), max(math.ceil(high), math.floor(low) + 1))
    ends = (min(xs), max(xs)) if min(xs) < max(xs) else (min(xs) - 0.5, max(xs) + 0.5)
    whole = all(x == int(x) for x in xs)
    return cls(ends, whole, wide, 0 in ys, not all(map(math.isfinite, ys)))

  def x(self, value: float) -> float:
    share = (value - self.xs[0]) / (self.xs[1] - self.xs[0])
    return _LEFT + 8 + share * (_RIGHT - _LEFT - 16)

  def y(self, value: float) -> float:
    if value <= 0:
      return _BOTTOM
    if not math.isfinite(value):
      return _TOP
    return self._level(math.log10(value))

  def _level(self, decade: float) -> float:
    low, high = self.decades
    # Room is left at an edge that stands for values which the scale does not have.
    bottom, top = _BOTTOM - 18 * self.zero, _TOP + 18 * self.infinite
    return bottom - (decade - low) / (high - low) * (bottom - top)

  def grid(self) -> Iterable[str]:
    low, high = self.decades
    for decade in range(low, high + 1, -(-(high - low) // _MOST_TICKS)):
      yield from _rule(self._level(decade), f"1e{decade}")
    if self.zero:
      yield from _rule(_BOTTOM, "0")
    if self.infinite:
      yield from _rule(_TOP, "inf")
    for value in _ticks(*self.xs, self.whole):
      yield (
        f'<text class="tick" x="{self.x(value):.1f}" y="{_BOTTOM + 18}" text-anchor="middle">'
        f"{value:g}</text>"
      )


def _rule(y: float, text: str) -> Iterable[str]:
  yield f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
  yield f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'


def _ticks(low: float, high: float, whole: bool) -> list[float]:
  """Round values between the two ends."""
  rough = (high - low) / _MOST_TICKS
  power = 10.0 ** math.floor(math.log10(rough))
  step = next(times * power for times in (1, 2, 5, 10) if times * power >= rough)
  step = max(step, 1) if whole else step
  return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
