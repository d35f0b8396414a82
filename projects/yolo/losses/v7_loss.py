"""YOLOv7's losses (Wang et al. 2022): fixed or dynamic assignment, and with auxiliary heads.

The terms are those of `yolo_loss.py`. YOLOv7's differ in the weights of four and more levels, in
gains that scale with levels, classes and input (`scale_gains`), and in who answers:
- `v7_loss`: every place of `assign_v7`;
- `v7_ota_loss`: the places that `assign_ota` picks of these;
- `v7_aux_ota_loss`: the same with wider counts for the lead heads; the auxiliary heads answer at
  places picked among all four neighbours, by the lead heads' predictions, at a quarter's weight
  (§4.3, coarse-to-fine).

Beside the original: its 1e-7 in CIoU's quotients is left out, one class keeps its class term, and
where two objects fall on one place the larger target counts.
"""

import dataclasses

import tensorflow as tf

from projects.yolo.losses.assignment import Assignment, assign_v7, boxes_in_cells
from projects.yolo.losses.ota import Rule, assign_ota
from projects.yolo.losses.yolo_loss import LossWeights, loss_terms, weigh
from projects.yolo.modeling.decoding import Coordinates

# Weights of the levels' objectness, finest first.
LEVEL_BALANCE = {
  2: (4.0, 1.0),
  3: (4.0, 1.0, 0.4),
  4: (4.0, 1.0, 0.25, 0.06),
  5: (4.0, 1.0, 0.25, 0.06, 0.02),
}
AUX_WEIGHT = 0.25
_NEAR, _AROUND = 0.5, 1.0  # How far a cell reaches: to the nearer neighbours, to all four.
_TOP, _AUX_TOP = 10, 20  # Overlaps that say how many places an object takes.

Raw = dict[str, tf.Tensor]
Labels = dict[str, tf.Tensor]
Losses = dict[str, tf.Tensor]


def scale_gains(weights: LossWeights, levels: int, classes: int, input_size: int) -> LossWeights:
  """Gains for three levels, 80 classes and 640 pixels → for others, as the original trains.

  Args:
    weights: the gains as the original's files name them.
    levels: of the network.
    classes: of the data.
    input_size: side of the square input in pixels.
  """
  by_level = 3 / levels
  return dataclasses.replace(
    weights,
    box=weights.box * by_level,
    objectness=weights.objectness * (input_size / 640) ** 2 * by_level,
    classes=weights.classes * classes / 80 * by_level,
  )


def v7_loss(raw: Raw, labels: Labels, coordinates: Coordinates, weights: LossWeights) -> Losses:
  """The loss with fixed assignment; arguments and result are those of `yolo_loss`."""
  places = {
    level: _assign_level(raw[str(level)], labels, coordinates, level, weights)
    for level in sorted(coordinates.anchors)
  }
  return weigh(loss_terms(raw, places, coordinates, weights, LEVEL_BALANCE[len(places)]), weights)


def v7_ota_loss(raw: Raw, labels: Labels, coordinates: Coordinates, weights: LossWeights) -> Losses:
  """The loss with dynamic assignment; arguments and result are those of `yolo_loss`."""
  rule = Rule(_NEAR, _TOP, weights.ratio_threshold)
  places = assign_ota(raw, labels, coordinates, rule)
  return weigh(loss_terms(raw, places, coordinates, weights, LEVEL_BALANCE[len(places)]), weights)


def v7_aux_ota_loss(
  raw: Raw, aux: Raw, labels: Labels, coordinates: Coordinates, weights: LossWeights
) -> Losses:
  """The loss of lead and auxiliary heads with dynamic assignment.

  Args:
    raw: outputs of the lead heads, as of `yolo_loss`.
    aux: outputs of the auxiliary heads, of the same shapes.
    labels: as of `yolo_loss`.
    coordinates: of the network, both kinds of heads.
    weights: of the terms.

  Returns:
    Scalars as of `yolo_loss`, lead plus a quarter of auxiliary.
  """
  balance = LEVEL_BALANCE[len(coordinates.anchors)]
  lead = assign_ota(raw, labels, coordinates, Rule(_NEAR, _AUX_TOP, weights.ratio_threshold))
  wide = assign_ota(raw, labels, coordinates, Rule(_AROUND, _AUX_TOP, weights.ratio_threshold))
  pairs = zip(
    loss_terms(raw, lead, coordinates, weights, balance),
    loss_terms(aux, wide, coordinates, weights, balance),
    strict=True,
  )
  box, objectness, classes = (term + AUX_WEIGHT * extra for term, extra in pairs)
  return weigh((box, objectness, classes), weights)


def _assign_level(
  raw: tf.Tensor, labels: Labels, coordinates: Coordinates, level: int, weights: LossWeights
) -> Assignment:
  _, height, width, _, _ = raw.shape
  return assign_v7(
    boxes_in_cells(labels["boxes"], height, width, raw.dtype),
    labels["classes"],
    labels["valid"],
    tf.constant(coordinates.anchors[level], raw.dtype) / 2**level,
    height,
    width,
    ratio_threshold=weights.ratio_threshold,
    reach=_NEAR,
  )
