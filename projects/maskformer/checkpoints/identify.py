"""Which network of the model zoo a file is of: told by names and shapes."""

import dataclasses
import functools
import re

from official.checkpoints import patterns
from official.checkpoints.rules import Rule
from official.checkpoints.schemes import Shapes
from projects.maskformer.modeling.variants import VARIANTS, SwinSizes, Variant
from projects.maskformer.reference import hugging_face_names, original_names
from projects.maskformer.reference.correspondence import Same, under, weights

_CAFFE2 = "res2_0_branch2a_w"


@dataclasses.dataclass(frozen=True)
class Backbone:
  """What weights show of a backbone; of a Swin, widths are heads, and size is its window's."""

  kind: str
  depths: tuple[int, ...]
  stem: int
  widths: tuple[int, ...]
  window: int = 0


@dataclasses.dataclass(frozen=True)
class Rest:
  """What weights show of the rest of a network."""

  kind: str
  encoder_layers: int
  decoder_layers: int = 0
  queries: int = 0
  width: int = 0


def identify(current: tuple[str, int], shapes: Shapes) -> str:
  """What the file with `shapes` is of, a clause; empty: not known, or of the current network.

  Args:
    current: variant and number of classes of the network that is to be filled.
    shapes: by name, in PyTorch's layouts.
  """
  if _CAFFE2 in shapes:
    return (
      "Caffe2's ResNet, another network (strides, order and scale of colours): take torchvision's"
    )
  seen = _Seen(shapes)
  backbone, rest = seen.backbone(), seen.rest()
  names = [name for name, each in VARIANTS.items() if _backbone_of(each) == backbone]
  if rest is None:
    return f"the backbone of {' or '.join(names)}" if names and current[0] not in names else ""
  fitting = [name for name in names if _rest_of(VARIANTS[name], seen.classes) == rest]
  if not fitting or current == (fitting[0], seen.classes):
    return ""
  return f"of task.model.variant={fitting[0]} and task.model.num_classes={seen.classes}"


class _Seen:
  """A file's arrays, by the paths of our variables, still in PyTorch's layouts."""

  def __init__(self, shapes: Shapes) -> None:
    self._shapes = {
      patterns.fill(rule.target, fields): shape
      for name, shape in shapes.items()
      for rule in _rules()
      if (fields := patterns.match(rule.source, name)) is not None
    }

  @property
  def classes(self) -> int:
    """How many classes it tells apart, without "no object"; 0 where it has no head."""
    if kernel := self._shapes.get("heads/classes/kernel"):
      return kernel[0] - (len(kernel) == 2)
    return self._size("decoder/query_positions")

  def backbone(self) -> Backbone:
    stages = self._count("backbone/stage")
    depths = tuple(self._count(f"backbone/stage{s}/block") for s in range(stages))
    if "backbone/embedding/projection/kernel" in self._shapes:
      table = "backbone/stage{}/block0/attention/relative_bias"
      window = (round(self._size(table.format(0)) ** 0.5) + 1) // 2
      heads = tuple(self._size(table.format(s), axis=1) for s in range(stages))
      return Backbone("swin", depths, self._size("backbone/embedding/norm/gamma"), heads, window)
    deep = "backbone/stem/conv2/conv/kernel" in self._shapes
    stem = f"backbone/stem/conv{2 if deep else ''}/conv/kernel"
    widths = (self._size(f"backbone/stage{s}/block0/expand/conv/kernel") for s in range(stages))
    return Backbone("deep resnet" if deep else "resnet", depths, self._size(stem), tuple(widths))

  def rest(self) -> Rest | None:
    """None where there is a backbone alone."""
    head = self._shapes.get("heads/classes/kernel", ())
    layers = self._count("encoder/layer"), self._count("decoder/layer")
    queries = self._shapes.get("decoder/query_positions", (0, 0))
    if not head and not any(queries):
      return None
    kind = {0: "per_pixel_plus", 2: "mask", 4: "per_pixel"}.get(len(head), "")
    return Rest(kind, *layers, *queries)

  def _size(self, path: str, axis: int = 0) -> int:
    shape = self._shapes.get(path, ())
    return shape[axis] if axis < len(shape) else 0

  def _count(self, start: str) -> int:
    found = (re.match(rf"{start}(\d+)/", path) for path in self._shapes)
    return max((int(each[1]) + 1 for each in found if each), default=0)


@functools.cache
def _rules() -> tuple[Rule, ...]:
  """Of all variants, in all names; those of the two stems take the same parameter."""
  tables: dict[Same, None] = {}
  for variant in VARIANTS.values():
    tables |= dict.fromkeys(original_names.table(variant))
    tables |= dict.fromkeys(under("", "backbone", original_names.backbone(variant)))
    tables |= dict.fromkeys(hugging_face_names.table(variant) or ())
  return tuple(rule for rule in weights(tables) if isinstance(rule, Rule))


def _backbone_of(variant: Variant) -> Backbone:
  sizes = variant.backbone
  if isinstance(sizes, SwinSizes):
    return Backbone("swin", tuple(sizes.depths), sizes.width, tuple(sizes.heads), sizes.window)
  kind = "deep resnet" if sizes.deep_stem else "resnet"
  return Backbone(kind, tuple(sizes.depths), sizes.stem, tuple(sizes.filters))


def _rest_of(variant: Variant, classes: int) -> Rest:
  if variant.kind == "per_pixel":
    return Rest(variant.kind, variant.encoder_layers)
  queries = classes if variant.kind == "per_pixel_plus" else variant.queries
  layers = variant.encoder_layers, variant.decoder_layers
  return Rest(variant.kind, *layers, queries, variant.width)
