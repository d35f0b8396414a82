"""Which layer of WongKinYiu's yolov7 is which of ours.

Its layers are numbered, `model.0` and on, in the order of its `.yaml`, which is that of our rows.
What it has as one module (SPPCSPC, DownC) is several rows here; its heads follow, and at last one
module with all outputs.
"""

from collections.abc import Iterator, Set

from official.checkpoints.rules import Ignore, Rule
from projects.yolo.modeling.networks import AUXILIARY
from projects.yolo.modeling.rows import Row
from projects.yolo.modeling.variant import Variant

NORM = {
  "weight": "gamma",
  "bias": "beta",
  "running_mean": "moving_mean",
  "running_var": "moving_variance",
}
_DOWN = {"reduce": "cv1", "strided": "cv2", "pooled": "cv3"}
_POOLING = {
  "conv1": "cv1",
  "cross": "cv2",
  "conv2": "cv3",
  "conv3": "cv4",
  "conv4": "cv5",
  "conv5": "cv6",
  "": "cv7",
}
_VECTOR = "1 c 1 1 -> c"
_BRANCHES = {"rbr_dense": "dense", "rbr_1x1": "point"}


def convolutions(variant: Variant) -> Iterator[tuple[str, str]]:
  """(module of the original, path of ours) of each convolution with BatchNorm and activation."""
  for number, member, path, row in _numbered(variant):
    if row.kind == "conv":
      yield f"model.{number}.{member}" if member else f"model.{number}", path
  for index, name in enumerate((*_heads(variant), *_auxiliary(variant)), number + 1):
    yield f"model.{index}", f"head/{name}/conv"


def outputs(variant: Variant) -> list[str]:
  """Names of our outputs in the order of the original's."""
  return [*map(str, variant.levels), *(f"{AUXILIARY}{level}" for level in variant.auxiliary)]


def _heads(variant: Variant) -> list[str]:
  return [f"p{level}" for level in variant.levels]


def _auxiliary(variant: Variant) -> list[str]:
  return [f"a{level}" for level in variant.auxiliary]


def _numbered(variant: Variant) -> Iterator[tuple[int, str, str, Row]]:
  """Number of the original's layer, which of its parts, our path, and our row."""
  number, before = -1, ""
  names = {row.name for row in (*variant.backbone, *variant.decoder)}
  for part, rows in (("backbone", variant.backbone), ("decoder", variant.decoder)):
    for row in rows:
      if _is_joined_later(variant, row):
        continue
      module, member = _module(variant, row, names)
      number += not module or module != before
      before = module
      yield number, member, f"{part}/{row.name}", row


def _is_joined_later(variant: Variant, row: Row) -> bool:
  """Whether the original joins these with a third source, at once."""
  is_transition = row.kind == "concat" and row.name.endswith("/down")
  return is_transition and row.name.startswith("p") and len(variant.levels) == 3


def _module(variant: Variant, row: Row, names: Set[str]) -> tuple[str, str]:
  """The rows' name that are one module with `row`, and which of its parts `row` is."""
  top = f"n{variant.levels[-1]}"
  if row.name.split("/")[0] == top and f"{top}/conv5" in names:
    return top, _POOLING.get(row.name.removeprefix(top).removeprefix("/"), "")
  owner, down, member = row.name.partition("/down")
  if down and len(variant.levels) == 4 and f"{owner}{down}/reduce" in names:
    return f"{owner}{down}", _DOWN.get(member.removeprefix("/"), "")
  return "", ""


def weights(variant: Variant) -> tuple[Rule | Ignore, ...]:
  """Rules for the parameters of a file."""
  return tuple(_weights(variant))


def _weights(variant: Variant) -> Iterator[Rule | Ignore]:
  replaced = {f"head/{name}/conv" for name in _heads(variant) if variant.head_kind == "rep"}
  for source, target in convolutions(variant):
    if target not in replaced:
      yield from _conv_norm(f"{source}.conv", f"{source}.bn", target)
      continue
    for theirs, own in _BRANCHES.items():
      yield from _conv_norm(f"{source}.{theirs}.0", f"{source}.{theirs}.1", f"{target}/{own}")
  yield from _outputs(variant, f"model.{int(source.split('.')[1]) + 1}")
  yield Ignore("{path*}.num_batches_tracked", "only counts batches; a momentum is constant here")


def _outputs(variant: Variant, detect: str) -> Iterator[Rule | Ignore]:
  for index, name in enumerate(_heads(variant)):
    yield from _output(f"{detect}.m.{index}", name)
    yield Rule(f"{detect}.ia.{index}.implicit", f"head/{name}/shift/implicit", _VECTOR)
    yield Rule(f"{detect}.im.{index}.implicit", f"head/{name}/scale/implicit", _VECTOR)
  for index, name in enumerate(_auxiliary(variant)):
    yield from _output(f"{detect}.m2.{index}", name)
  for name in ("anchors", "anchor_grid"):
    yield Ignore(f"{detect}.{name}", "constants of the variant")


def _conv_norm(conv: str, norm: str, target: str) -> Iterator[Rule]:
  yield Rule(f"{conv}.weight", f"{target}/conv/kernel", "conv")
  for theirs, own in NORM.items():
    yield Rule(f"{norm}.{theirs}", f"{target}/norm/{own}")


def _output(source: str, name: str) -> Iterator[Rule]:
  yield Rule(f"{source}.weight", f"head/{name}/output/kernel", "conv")
  yield Rule(f"{source}.bias", f"head/{name}/output/bias")
