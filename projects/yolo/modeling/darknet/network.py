"""A Darknet `.cfg` → the network that it describes."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from official.cli.errors import nearest
from projects.yolo.modeling.darknet.cfg_file import Section, read_cfg
from projects.yolo.modeling.darknet.draft import Convolution, Draft, Head, Shape
from projects.yolo.modeling.darknet.head import yolo
from projects.yolo.modeling.darknet.layers import (
  avgpool,
  convolutional,
  dropout,
  maxpool,
  reorg,
  upsample,
)
from projects.yolo.modeling.darknet.merging import route, sam, scale_channels, shortcut
from projects.yolo.modeling.rows import Rows


class Kind(NamedTuple):
  """How one kind of section is read.

  Attributes:
    read: the function.
    options: names that it reads.
    inactive: names that matter in training or in printing only.
  """

  read: Callable[[Section, Draft], Shape]
  options: str
  inactive: str = ""

  def check(self, section: Section) -> None:
    """Raises `UserError` for an option that would change the network, and is not supported."""
    known = f"{self.options} {self.inactive} {_INACTIVE}".split()
    for name, option in section.options.items():
      if name not in known and _NEUTRAL.get(name) != option.text:
        raise section.error(f"{name}={option.text} is not supported", name)


_INACTIVE = "onlyforward dont_update burnin_update stopbackward train_only_bn learning_rate"
_NEUTRAL = {"dilation": "1", "antialiasing": "0", "weights_type": "none"}

KINDS: dict[str, Kind] = {
  "avgpool": Kind(avgpool, ""),
  "convolutional": Kind(
    convolutional, "filters size stride pad padding groups batch_normalize activation"
  ),
  "dropout": Kind(dropout, "", "probability dropblock dropblock_size_rel dropblock_size_abs"),
  "maxpool": Kind(maxpool, "size stride padding"),
  "reorg": Kind(reorg, "stride reverse"),
  "route": Kind(route, "layers groups group_id"),
  "sam": Kind(sam, "from activation"),
  "scale_channels": Kind(scale_channels, "from scale_wh activation"),
  "shortcut": Kind(shortcut, "from activation"),
  "upsample": Kind(upsample, "stride"),
  "yolo": Kind(
    yolo,
    "mask anchors classes scale_x_y new_coords nms_kind beta_nms",
    "num jitter resize random max max_delta ignore_thresh truth_thresh iou_thresh iou_loss "
    "iou_normalizer obj_normalizer cls_normalizer delta_normalizer iou_thresh_kind focal_loss "
    "objectness_smooth label_smooth_eps counters_per_class show_details embedding_layer "
    "track_history_size track_ciou_norm sim_thresh dets_for_track dets_for_show",
  ),
}


@dataclasses.dataclass(frozen=True)
class Network:
  """What a `.cfg` describes.

  Attributes:
    input: shape of the image.
    letterbox: whether Darknet keeps the image's aspect ratio.
    rows: from the row `image` on.
    convolutions: those with weights, in the order of the file of weights.
    heads: the `[yolo]` sections, at least one.
  """

  input: Shape
  letterbox: bool
  rows: Rows
  convolutions: tuple[Convolution, ...]
  heads: tuple[Head, ...]


def read_network(path: str | Path) -> Network:
  """The network in the file `path`.

  Raises:
    UserError: it is not a `.cfg` file, or holds a section or an option that is not supported; the
      message names the line.
  """
  net, *sections = read_cfg(path)
  draft = Draft(Shape(net.count("height"), net.count("width"), net.count("channels", 3)))
  for section in sections:
    if section.kind not in KINDS:
      known = ", ".join(KINDS)
      hint = nearest(section.kind, KINDS)
      raise section.error(f"this kind of layer is not supported{hint} (known are {known})")
    kind = KINDS[section.kind]
    kind.check(section)
    draft.shapes.append(kind.read(section, draft))
  if not draft.heads:
    raise net.error("the network has no [yolo] section: only detectors can be imported")
  return Network(
    draft.input,
    bool(net.integer("letter_box", 0)),
    tuple(draft.rows),
    tuple(draft.convolutions),
    tuple(draft.heads),
  )
