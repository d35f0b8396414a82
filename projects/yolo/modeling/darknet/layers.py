"""What each kind of Darknet section is in our rows: one function a kind.

A function takes the section and the network so far, adds the section's rows and returns the shape
of its output; it raises `UserError`, with the line, where it cannot.
"""

from projects.yolo.modeling.darknet.cfg_file import Section
from projects.yolo.modeling.darknet.draft import Convolution, Draft, Shape

# Those that `official.layers.activations` has under Darknet's name and in Darknet's form.
ACTIVATIONS = ("leaky", "linear", "logistic", "mish", "relu", "relu6", "swish")


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
  activation = section.word("activation", "logistic", ACTIVATIONS)
  args = {
    "filters": filters,
    "kernel_size": size,
    "strides": strides,
    "groups": groups,
    "padding": "same" if each_side else "valid",
  }
  row = draft.name
  if normalized:
    draft.add(row, "conv", source, **args, activation=activation)
  elif activation == "linear":
    draft.add(row, "biased", source, **args)
  else:
    row = draft.add(f"{draft.name}/conv", "biased", source, **args)
    draft.add(draft.name, "activation", row, activation=activation)
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


def shortcut(section: Section, draft: Draft) -> Shape:
  before = draft.before(section)
  summands = [before, *draft.named(section, "from")]
  if len({shape for _, shape in summands}) > 1:
    text = ", ".join("×".join(map(str, shape)) for _, shape in summands)
    raise section.error(f"adds sections of different shapes: {text}", "from")
  activation = section.word("activation", "linear", ACTIVATIONS)
  names = [name for name, _ in summands]
  if activation == "linear":
    draft.add(draft.name, "add", *names)
  else:
    total = draft.add(f"{draft.name}/add", "add", *names)
    draft.add(draft.name, "activation", total, activation=activation)
  return before[1]


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
