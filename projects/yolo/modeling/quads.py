"""A backbone whose first layers work on quads of pixels, for TPUs (`official.layers.quads`)."""

import dataclasses

from official.cli.errors import UserError
from projects.yolo.modeling.rows import Row, Rows


def on_quads(backbone: Rows) -> Rows:
  """The same network for an image in quads, with the same variables under the same names.

  Where the first convolution has stride 2, it alone is on quads. Where it has stride 1, its output
  lies in quads, and the strided convolution behind it takes it from there.

  Raises:
    UserError: the backbone begins otherwise.
  """
  first, second, *others = backbone
  if _is_conv(first, strides=2):
    return _on_quads(first), second, *others
  read_again = any(first.name in row.inputs for row in others)
  if _is_conv(first, strides=1) and _is_conv(second, strides=2) and not read_again:
    return _on_quads(first), _on_quads(second), *others
  raise UserError(
    f"task.model.stem_on_quads: the network begins with '{first.name}' and '{second.name}', not "
    "with a convolution at stride 2, or with one at stride 1 and one at 2; leave it out"
  )


def _is_conv(row: Row, strides: int) -> bool:
  return row.kind == "conv" and row.args.get("strides", 1) == strides


def _on_quads(row: Row) -> Row:
  return dataclasses.replace(row, kind="quad_conv")
