"""Darknet's `[yolo]` section: raw outputs by anchor, and how they become boxes."""

from projects.yolo.modeling.darknet.cfg_file import Section
from projects.yolo.modeling.darknet.draft import Draft, Head, Shape
from projects.yolo.modeling.decoding import Coordinates

# Darknet's `greedynms` compares IoU less the distance term to this power.
_GREEDY_EXPONENT = 0.6


def yolo(section: Section, draft: Draft) -> Shape:
  source, shape = draft.before(section)
  mask, anchors = section.integers("mask"), section.numbers("anchors")
  classes, level = section.count("classes", 20), _level(section, draft)
  if len(anchors) % 2 or not all(0 <= each < len(anchors) // 2 for each in mask):
    raise section.error(f"mask= chooses among the {len(anchors) / 2:g} anchors of anchors=", "mask")
  if any(head.classes != classes for head in draft.heads):
    raise section.error(f"the [yolo] above has another number of classes than {classes}", "classes")
  if shape.channels != len(mask) * (5 + classes):
    raise section.error(
      f"needs {len(mask)} anchors × (5 + {classes} classes) = {len(mask) * (5 + classes)} "
      f"channels, and the section above has {shape.channels}"
    )
  scaled = bool(section.integer("new_coords", 0))
  if scaled:
    source = _logits(section, draft)
  draft.add(draft.name, "split", source, anchors=len(mask))
  pairs = list(zip(anchors[::2], anchors[1::2], strict=True))
  coordinates = Coordinates(
    "scaled" if scaled else "exponential",
    {level: section.number("scale_x_y", 1.0)},
    {level: tuple(pairs[each] for each in mask)},
  )
  draft.heads.append(Head(draft.name, level, classes, coordinates, _diou_exponent(section)))
  return shape


def _level(section: Section, draft: Draft) -> int:
  """Of the grid of the section above: its stride, along both axes, is 2 to this power."""
  grid = draft.before(section)[1]
  level = (draft.input.height // grid.height).bit_length() - 1
  if any(side != cells << level for side, cells in zip(draft.input[:2], grid[:2], strict=True)):
    raise section.error(f"a grid of {grid.height}×{grid.width} does not halve the input evenly")
  if any(head.level == level for head in draft.heads):
    raise section.error(f"a second [yolo] at stride {2**level} is not supported")
  return level


def _logits(section: Section, draft: Draft) -> str:
  """The row in front of the logistic activation above, which is part of decoding here."""
  above = draft.rows[-1] if draft.rows else None
  if not above or above.kind != "activation" or above.args["activation"] != "logistic":
    raise section.error("new_coords=1 needs activation=logistic in the section above", "new_coords")
  return above.inputs[0]


def _diou_exponent(section: Section) -> float | None:
  kind = section.word("nms_kind", "default", ("default", "greedynms", "diounms"))
  beta = section.number("beta_nms", _GREEDY_EXPONENT)
  return {"default": None, "greedynms": _GREEDY_EXPONENT, "diounms": beta}[kind]
