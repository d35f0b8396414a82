"""Predictions that anyone makes again; `nms.npz` has what WongKinYiu's yolov7 makes of them.

How it was recorded: github.com/WongKinYiu/yolov7, commit a207844b1ce82d204ab36d87d496728d3d2348e7,
`utils.general.non_max_suppression(prediction, 0.001, 0.65, multi_label=True, agnostic=…)` in
float64, one prediction at a time; for "weighted" with `merge`, a constant inside the function, on,
and without its `.float()` on the merged boxes. torchvision, which the function calls once, was a
stand-in of ours that does what its documentation says: `nms(boxes, scores, t)` goes by descending
score (stable) and drops what has IoU > t with a box kept before.
Recorded are [n, 6] xyxy, score, class, under "<kind>/<scene>". No line of it is here (GPL).
"""

import numpy as np

THRESHOLDS = {"score_threshold": 0.001, "iou_threshold": 0.65}
# Boxes, classes, share of the pairs that are above the threshold.
SCENES = {"sparse": (300, 80, 0.05), "dense": (300, 80, 0.5), "one class": (400, 1, 0.9)}


def prediction(name):
  """[boxes, 5 + classes] float64: centre, size in pixels, objectness, class scores."""
  boxes, classes, share = SCENES[name]
  rng = np.random.default_rng(len(name))
  # Heaps of a dozen shaken copies, as a network has them around an object.
  heaps = rng.uniform([60, 60, 20, 20], [580, 580, 200, 200], [boxes // 12, 4])
  xywh = heaps[rng.integers(0, len(heaps), boxes)] * rng.normal(1, 0.03, [boxes, 4])
  scores = rng.uniform(0.01, 1, [boxes, classes]) * (rng.random([boxes, classes]) < share)
  return np.concatenate([xywh, rng.uniform(0.3, 1, [boxes, 1]), scores], -1)


def box_and_scores(name):
  """The same as corners [boxes, 4] yxyx and scores [boxes, classes], as the original means them."""
  rows = prediction(name)
  x, y, w, h = rows[:, :4].T
  scores = rows[:, 5:] * rows[:, 4:5] if rows.shape[1] > 6 else rows[:, 4:5]
  return np.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], -1), scores
