"""Darknet's sections that join the outputs of several: sums, products and routes.

Functions as in `layers.py`.
"""

from collections.abc import Sequence

from projects.yolo.modeling.darknet.activations import NAMES
from projects.yolo.modeling.darknet.cfg_file import Section
from projects.yolo.modeling.darknet.draft import Draft, Shape
from projects.yolo.modeling.darknet.layers import activate


def shortcut(section: Section, draft: Draft) -> Shape:
  before = draft.before(section)
  summands = [before, *draft.named(section, "from")]
  if len({shape for _, shape in summands}) > 1:
    text = ", ".join(_text(shape) for _, shape in summands)
    raise section.error(f"adds sections of different shapes: {text}", "from")
  _combine("add", section, draft, [name for name, _ in summands])
  return before[1]


def scale_channels(section: Section, draft: Draft) -> Shape:
  """A map times one number a channel (squeeze and excitation), or with scale_wh one a pixel."""
  name, factor = draft.before(section)
  source, shape = _one_source(section, draft)
  by_pixel = bool(section.integer("scale_wh", 0))
  wanted = Shape(*shape[:2], 1) if by_pixel else Shape(1, 1, shape.channels)
  if factor != wanted:
    raise section.error(f"needs {_text(wanted)} above, and there is {_text(factor)}", "from")
  _combine("multiply", section, draft, [source, name])
  return shape


def sam(section: Section, draft: Draft) -> Shape:
  """Two maps of the same shape, multiplied (Bochkovskiy et al. 2020, fig. 5)."""
  name, factor = draft.before(section)
  source, shape = _one_source(section, draft)
  if factor != shape:
    raise section.error(f"multiplies sections of different shapes: {_text(shape)}, {_text(factor)}")
  _combine("multiply", section, draft, [source, name])
  return shape


def _one_source(section: Section, draft: Draft) -> tuple[str, Shape]:
  sources = draft.named(section, "from")
  if len(sources) > 1:
    raise section.error("from= must name one section", "from")
  return sources[0]


def _combine(kind: str, section: Section, draft: Draft, names: Sequence[str]) -> None:
  """Adds a row of `kind` that reads `names`, and behind it the section's activation."""
  activation = section.word("activation", "linear", NAMES)
  if activation == "linear":
    draft.add(draft.name, kind, *names)
  else:
    activate(draft, draft.add(f"{draft.name}/{kind}", kind, *names), activation)


def route(section: Section, draft: Draft) -> Shape:
  sources = draft.named(section, "layers")
  groups, index = section.count("groups", 1), section.integer("group_id", 0)
  if not 0 <= index < groups or any(shape.channels % groups for _, shape in sources):
    raise section.error(f"group {index} of {groups} of the channels does not exist", "groups")
  names = [name for name, _ in sources]
  if groups > 1:
    single = len(names) == 1
    names = [
      draft.add(
        draft.name if single else f"{draft.name}/{part}", "group", name, groups=groups, index=index
      )
      for part, name in enumerate(names)
    ]
  if len(names) > 1:
    draft.add(draft.name, "concat", *names)
  elif groups == 1:
    draft.add(draft.name, "linear", *names)
  first = sources[0][1]
  return Shape(*first[:2], sum(shape.channels for _, shape in sources) // groups)


def _text(shape: Shape) -> str:
  return "×".join(map(str, shape))
