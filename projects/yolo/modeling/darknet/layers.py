"""What each kind of Darknet section is in our rows: one function a kind.

A function takes the section and the network so far, adds the section's rows and returns the shape
of its output; it raises `UserError`, with the line, where it cannot.
"""

from projects.yolo.modeling.darknet.activations import DARKNETS_OWN, NAMES
from projects.yolo.modeling.darknet.cfg_file import Section
from projects.yolo.modeling.darknet.draft import Convolution, Draft, Shape


def activate(draft: Draft, source: str, activation: str) -> None:
  """Adds `activation` behind the row `source`, as the section's output."""
  kind = "darknet_activation" if activation in DARKNETS_OWN else "activation"
  draft.add(draft.name, kind, source, activation=activation)


def convolutional(section: Section, draft: Draft) -> Shape:
  source, shape = draft.before(section)
  filters, size = section.count("filters", 1), section.count("size", 1)
  groups, strides = section.count("groups", 1), section.count("stride", 1)
  if shape.channels % groups or filters % groups:
    raise section.error(
      f"{shape.channels} channels to {filters} filters do not divide into {groups} groups", "groups"
    )
  each_side = _padding(section, size)
  normalized = bool(section.integer("batch_normalize", 0))
  activation = section.word("activation", "logistic", NAMES)
  args = {
    "filters": filters,
    "kernel_size": size,
    "strides": strides,
    "groups": groups,
    "padding": "same" if each_side else "valid",
  }
  row = draft.name
  if normalized:
    kind = "darknet_conv" if activation in DARKNETS_OWN else "conv"
    draft.add(row, kind, source, **args, activation=activation)
  elif activation == "linear":
    draft.add(row, "biased", source, **args)
  else:
    row = draft.add(f"{draft.name}/conv", "biased", source, **args)
    activate(draft, row, activation)
  kernel = (filters, shape.channels // groups, size, size)
  draft.convolutions.append(Convolution(len(draft.shapes), row, normalized, kernel))
  sides = (_windows(side + 2 * each_side, size, strides, section) for side in shape[:2])
  return Shape(*sides, filters)


def _padding(section: Section, size: int) -> int:
  """Pixels of padding on each side: none, or as many as keep the size."""
  padding = size // 2 if section.integer("pad", 0) else section.integer("padding", 0)
  if padding and (size % 2 == 0 or padding != size // 2):
    raise section.error(f"padding by {padding} around a kernel of {size} is not supported")
  return padding


def _windows(side: int, size: int, strides: int, section: Section) -> int:
  """How many windows of `size` fit."""
  if side < size:
    raise section.error(f"a window of {size} does not fit into {side} pixels")
  return (side - size) // strides + 1


def maxpool(section: Section, draft: Draft) -> Shape:
  source, shape = draft.before(section)
  strides = section.count("stride", 1)
  size = section.count("size", strides)
  padding = section.integer("padding", size - 1)
  if padding < 0:
    raise section.error(f"padding={padding}: must not be negative", "padding")
  draft.add(draft.name, "pool", source, size=size, strides=strides, padding=padding)
  sides = (_windows(side + padding, size, strides, section) for side in shape[:2])
  return Shape(*sides, shape.channels)


def avgpool(section: Section, draft: Draft) -> Shape:
  source, shape = draft.before(section)
  draft.add(draft.name, "mean", source)
  return Shape(1, 1, shape.channels)


def upsample(section: Section, draft: Draft) -> Shape:
  source, shape = draft.before(section)
  size = section.count("stride", 2)
  draft.add(draft.name, "upsample", source, size=size)
  return Shape(shape.height * size, shape.width * size, shape.channels)


def dropout(section: Section, draft: Draft) -> Shape:
  """Inactive: it matters in training only, which is not Darknet's here."""
  source, shape = draft.before(section)
  draft.add(draft.name, "linear", source)
  return shape


def reorg(section: Section, draft: Draft) -> Shape:
  source, (height, width, channels) = draft.before(section)
  stride, reverse = section.count("stride", 1), bool(section.integer("reverse", 0))
  if channels % stride**2 or (not reverse and (height % stride or width % stride)):
    raise section.error(
      f"{height}×{width}×{channels} does not divide by a stride of {stride}", "stride"
    )
  draft.add(draft.name, "reorg", source, stride=stride, reverse=reverse)
  if reverse:
    return Shape(height * stride, width * stride, channels // stride**2)
  return Shape(height // stride, width // stride, channels * stride**2)
