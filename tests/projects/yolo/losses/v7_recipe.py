"""Makes `v7.npz`: what YOLOv7's own code computes for the scenes of `v7_scenes.py`.

    python -m tests.projects.yolo.losses.v7_recipe CHECKOUT

CHECKOUT is a working tree of https://github.com/WongKinYiu/yolov7 (recorded: commit a207844). It
runs in PyTorch, in float64. Three things are set that the original leaves to device or luck: its
CUDA device is the CPU, among equal costs the first candidate wins, among targets written to one
place the largest stays. Its 1e-7 inside CIoU is 0, but for the terms named `published`.

Names: SCENE/KIND/terms [4] (box, objectness, class, total), SCENE/KIND/published [4],
SCENE/KIND/smoothed [4] at label smoothing 0.1, SCENE/KIND/gradient [12] (and `aux_gradient`) of the
total as `v7_scenes.digest` has it, SCENE/KIND/LEVEL/matches [m, 9] (image, row, column, anchor,
class, x, y, w, h), of the lead heads; `wide` in place of `matches` for the auxiliary heads.
"""

import pathlib
import re
import sys
import types
from unittest import mock

import numpy as np
import torch

from tests.projects.yolo.losses import v7_scenes as scenes

KINDS = {"plain": "ComputeLoss", "ota": "ComputeLossOTA", "aux": "ComputeLossAuxOTA"}
_WRITE = re.compile(r"(\w+)\[(b\w*, a\w*, gj\w*, gi\w*)\] = ([^#\n]*)")


def load(checkout):
  """The module of losses and that of boxes."""
  sys.path.insert(0, str(checkout))
  for name in ("torchvision", "utils.google_utils", "utils.metrics", "utils.torch_utils"):
    sys.modules[name] = mock.MagicMock()
  sys.modules["utils.torch_utils"].is_parallel = lambda model: False
  from utils import general

  text = (checkout / "utils" / "loss.py").read_text()
  text, count = _WRITE.subn(r"keep_largest(\1, (\2), \3)", text.replace("cuda:0", "cpu"))
  assert count >= 4
  module = types.ModuleType("losses")
  module.keep_largest = keep_largest
  exec(text, module.__dict__)
  return module, general


def keep_largest(array, where, values):
  flat = np.ravel_multi_index([index.numpy() for index in where], array.shape)
  largest = array.reshape(-1).scatter_reduce(0, torch.from_numpy(flat), values, "amax")
  array.copy_(largest.view(array.shape))


def topk(values, k, dim=-1, largest=True):
  """`torch.topk`, the first among equals."""
  return tuple(
    part.narrow(dim, 0, k) for part in torch.sort(values, dim=dim, descending=largest, stable=True)
  )


def network(smoothing):
  levels = list(scenes.ANCHORS)
  anchors = [torch.tensor(scenes.ANCHORS[level]).double() / 2**level for level in levels]
  head = types.SimpleNamespace(
    na=3, nc=scenes.CLASSES, nl=3, anchors=anchors, stride=[2.0**level for level in levels]
  )
  hyper = scenes.HYPER | {"cls_pw": 1.0, "obj_pw": 1.0, "fl_gamma": 0.0}
  hyper["label_smoothing"] = smoothing
  parameters = lambda: iter([torch.zeros(1)])
  return types.SimpleNamespace(model=[head], hyp=hyper, gr=1.0, parameters=parameters)


def targets(name):
  """Rows of image, class, x, y, w, h."""
  boxes, classes, valid = scenes.scene(name)
  y0, x0, y1, x1 = np.moveaxis(boxes, -1, 0)
  xywh = np.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], -1)
  image = np.nonzero(valid)[0]
  rows = np.concatenate([image[:, None], classes[valid][:, None], xywh[valid]], 1)
  return torch.from_numpy(rows)


def matches(found):
  """By level, of what `build_targets` returns: [m, 9] image, row, column, anchor, class, box."""
  images, anchors, rows, columns, objects = found[:5]
  places = zip(images, rows, columns, anchors, objects, strict=True)
  return [
    np.concatenate([torch.stack(level[:4], 1), level[4][:, 1:]], 1) if len(level[0]) else None
    for level in places
  ]


def fixed(found, raw):
  """The same of the plain loss, whose boxes are in cells, from the place's corner."""
  classes, boxes, indices, _ = found
  for (image, anchor, row, column), label, box, output in zip(
    indices, classes, boxes, raw, strict=True
  ):
    corner = torch.stack([column, row, column * 0, column * 0], 1)
    part = torch.cat([label[:, None], (box + corner) / output.shape[2]], 1)
    yield np.concatenate([torch.stack([image, row, column, anchor], 1), part], 1)


def run(module, kind, name, smoothing=0.0):
  """Terms, gradients and matches."""
  heads = [scenes.outputs(name, 0)] + [scenes.outputs(name, 1)] * (kind == "aux")
  raw = [
    torch.tensor(head[str(level)].transpose(0, 3, 1, 2, 4), requires_grad=True)
    for head in heads
    for level in scenes.ANCHORS
  ]
  loss = getattr(module, KINDS[kind])(network(smoothing))
  images = [torch.zeros(3, scenes.SIZE, scenes.SIZE)] * 2
  rest = (targets(name),) if kind == "plain" else (targets(name), images)
  total, terms = loss(raw, *rest)
  (total / 2).backward()
  if kind == "plain":
    found = {"matches": list(fixed(loss.build_targets(raw, *rest), raw))}
  else:
    found = {"matches": matches(loss.build_targets(raw[:3], *rest))}
  if kind == "aux":
    found["wide"] = matches(loss.build_targets2(raw[:3], *rest))
  return terms.numpy(), [each.grad.numpy().transpose(0, 2, 3, 1, 4) for each in raw], found


def record(module, general):
  """All arrays of `v7.npz`."""
  arrays = {}
  published = general.bbox_iou.__defaults__
  for name in scenes.SCENES:
    for kind in KINDS:
      key = f"{name}/{kind}"
      arrays[f"{key}/published"] = run(module, kind, name)[0]
      general.bbox_iou.__defaults__ = (*published[:-1], 0.0)
      arrays[f"{key}/terms"], gradients, found = run(module, kind, name)
      arrays[f"{key}/smoothed"] = run(module, kind, name, 0.1)[0]
      general.bbox_iou.__defaults__ = published
      by_level = lambda part: dict(zip(map(str, scenes.ANCHORS), part, strict=True))
      arrays[f"{key}/gradient"] = scenes.digest(by_level(gradients[:3]))
      if kind == "aux":
        arrays[f"{key}/aux_gradient"] = scenes.digest(by_level(gradients[3:]))
      for what, levels in found.items():
        for level, part in by_level(levels).items():
          arrays[f"{key}/{level}/{what}"] = np.zeros([0, 9]) if part is None else part
  return arrays


def main():
  torch.set_default_dtype(torch.float64)
  torch.set_num_threads(1)
  arrays = {}
  module, general = load(pathlib.Path(sys.argv[1]))
  plain = torch.topk
  with mock.patch.object(torch, "topk", topk):
    arrays = record(module, general)
  free = {
    f"{name}/{kind}": run(module, kind, name)[2]["matches"]
    for name in scenes.SCENES
    for kind in ("ota", "aux")
  }
  assert torch.topk is plain
  for key, levels in free.items():  # Where PyTorch's own choice among equals is another.
    same = all(
      part is None or np.array_equal(part, arrays[f"{key}/{level}/matches"])
      for level, part in zip(scenes.ANCHORS, levels, strict=True)
    )
    print(key, "same" if same else "other ties")
  np.savez_compressed(pathlib.Path(__file__).with_name("v7.npz"), **arrays)


if __name__ == "__main__":
  main()
