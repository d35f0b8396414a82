"""A backbone whose first layers work on quads of pixels, for TPUs (`official.layers.quads`)."""

import dataclasses

from official.cli.errors import UserError
from projects.yolo.modeling.rows import Row, Rows


def on_quads(backbone: Rows) -> Rows:
  """The same network for an image in quads, with the same variables under the same names.

  Where the first convolution has stride 2, it alone is on quads. Where it has stride 1, its output
  lies in quads, and the strided convolution or the pooling behind it takes it from there.

  Raises:
    UserError: the backbone begins otherwise.
  """
  first, second, *others = backbone
  if _is_conv(first, strides=2):
    return _conv(first), second, *others
  if _is_conv(first, strides=1) and not any(first.name in row.inputs for row in others):
    if _is_conv(second, strides=2):
      return _conv(first), _conv(second), *others
    if second.kind == "pool" and second.args == {"size": 2, "strides": 2}:
      return _conv(first), dataclasses.replace(second, kind="quad_pool", args={}), *others
  raise UserError(
    f"task.model.stem_on_quads: the network begins with '{first.name}' and '{second.name}', not "
    "with a convolution at stride 2, or with one at stride 1 and 2×2 pixels behind it; leave it out"
  )


def _is_conv(row: Row, strides: int) -> bool:
  return row.kind == "conv" and row.args.get("strides", 1) == strides


def _conv(row: Row) -> Row:
  return dataclasses.replace(row, kind="quad_conv")
