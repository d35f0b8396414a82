"""Runs the original on logits made from real ground truth, and writes `recordings.npz`.

  PYTHONPATH=MASKFORMER:DETECTRON2 python record.py COCO_SAMPLE recordings.npz

with checkouts of facebookresearch/MaskFormer and facebookresearch/detectron2, see README.md. What
those import and inference does not need (torchvision, timm) is replaced by stand-ins.
"""

import json
import pathlib
import sys
import types
from unittest import mock

import numpy as np
from PIL import Image

# The image, its height and width as the network gets it, those of the padded input, and a seed.
CASES = {
  "clean": ("000000142238", (150, 225), (160, 256), 0),
  "crowded": ("000000439180", (135, 240), (160, 256), 1),
  "much padding": ("000000142238", (97, 141), (160, 224), 2),
  "tiny": ("000000439180", (64, 96), (64, 96), 3),
  "nothing": ("000000439180", (64, 96), (64, 96), 4),
}
THRESHOLDS = ((0.8, 0.8), (0.7, 0.8), (0.0, 0.0), (0.5, 0.95))
CLASSES, THINGS, SAMPLES = 133, 80, 48
KINDS = ("sure", "weak", "wide", "shifted", "half", "twin", "rival", "speck", "empty")
VIEW_SIZES, VIEW_LIMIT, VIEW_ORIGINAL = (32, 48, 72), 100, (60, 80)


def main(root, target):
  recorded = {}
  for name, (image, size, padded, seed) in CASES.items():
    masks, classes = read_truth(root, image)
    rng = np.random.default_rng(seed)
    class_logits, mask_logits = make_logits(rng, masks, classes, size, padded)
    if name == "nothing":
      class_logits[:, -1] = 127
    for key, value in run_original(
      class_logits, mask_logits, size, padded, masks.shape[1:]
    ).items():
      recorded[f"{name}/{key}"] = value
    recorded |= {f"{name}/class_logits": class_logits, f"{name}/mask_logits": mask_logits}
    recorded[f"{name}/frame"] = np.array([padded, size, masks.shape[1:]])
  photograph = Image.open(root / "input_images/000000439180.jpg").convert("RGB")
  image = np.asarray(photograph.resize((64, 48), Image.Resampling.BILINEAR))
  recorded |= {"views/image": image, "views/scores": run_test_time(image)}
  np.savez_compressed(target, **recorded)


def read_truth(root, image):
  """Masks [n, h, w] of an image's segments and their classes, things first."""
  annotations = json.loads((root / "panoptic_examples.json").read_text())["annotations"]
  table = json.loads((root / "panoptic_coco_categories.json").read_text())
  order = sorted(table, key=lambda row: (not row["isthing"], row["id"]))
  classes = {row["id"]: place for place, row in enumerate(order)}
  segments = next(a for a in annotations if a["file_name"] == f"{image}.png")["segments_info"]
  colours = np.asarray(Image.open(root / f"panoptic_examples/{image}.png")).astype(np.int64)
  masks = [colours @ [1, 256, 65536] == segment["id"] for segment in segments]
  return np.stack(masks), np.array([classes[segment["category_id"]] for segment in segments])


def make_logits(rng, masks, classes, size, padded):
  """Logits in eighths, int8: class [q, c + 1] and mask [q, h, w]. Each segment has a query that is
  sure of it, or one of the other kinds, or both."""
  queries = []
  for place in rng.permutation(len(masks)):
    kinds = ["sure"] if rng.random() < 0.7 else []
    kinds += list(rng.choice(KINDS[1:], rng.integers(0 if kinds else 1, 3)))
    share = coverage(masks[place], size, padded)
    for kind in kinds:
      queries.append(make_query(rng, kind, share, classes[place]))
      if kind == "twin":
        queries.append(queries[-1])
  class_logits, mask_logits = map(np.stack, zip(*queries, strict=True))
  return tuple(
    np.clip(np.round(8 * x), -127, 127).astype(np.int8) for x in (class_logits, mask_logits)
  )


def make_query(rng, kind, share, index):
  label = rng.normal(0, 1, CLASSES + 1)
  label[index] += {"weak": 5.0, "rival": 9.0}.get(kind, rng.uniform(6.5, 11))
  label[-1] += 6 * (rng.random() < 0.1)
  if kind == "half":
    columns = np.arange(share.shape[1]) < rng.uniform(0.3, 0.7) * share.shape[1]
    share = share * (columns if rng.random() < 0.5 else ~columns)
  if kind in ("shifted", "rival"):
    share = np.roll(share, rng.integers(-3, 4, 2), (0, 1))
  if kind == "speck":
    share = np.zeros_like(share)
    share.flat[rng.integers(share.size)] = 0.8
  mask = 14 * (share - 0.5) + rng.normal(0, 0.7, share.shape)
  return label, mask + {"wide": 6.0, "empty": -9.0}.get(kind, rng.normal(0, 0.5))


def coverage(mask, size, padded):
  """The share of each cell of 4x4 pixels of the input that a mask covers [h / 4, w / 4]."""
  height, width = size
  resized = Image.fromarray(mask.astype(np.float32)).resize((width, height), Image.Resampling.BOX)
  pixels = np.zeros(padded, np.float32)
  pixels[:height, :width] = resized
  return pixels.reshape(padded[0] // 4, 4, padded[1] // 4, 4).mean((1, 3))


def run_original(class_logits, mask_logits, size, padded, original):
  """What the original's `forward` makes of an image, given what its head answers."""
  import torch

  logits = [torch.from_numpy(x.astype(np.float32) / 8)[None] for x in (class_logits, mask_logits)]
  # A second image, which fills the input, decides the padding.
  outputs = {"pred_logits": logits[0].repeat(2, 1, 1), "pred_masks": logits[1].repeat(2, 1, 1, 1)}
  images = [torch.zeros(3, *size), torch.zeros(3, *padded)]
  inputs = [{"image": image, "height": original[0], "width": original[1]} for image in images]
  recorded = {}
  for place, (object_threshold, overlap_threshold) in enumerate(THRESHOLDS):
    model = build_original(outputs, True, object_threshold, overlap_threshold)
    ids, segments = model(inputs)[0]["panoptic_seg"]
    rows = [(s["id"], s["category_id"], s["isthing"]) for s in segments]
    recorded[f"ids/{place}"] = ids.numpy().astype(np.uint8)
    recorded[f"segments/{place}"] = np.array(rows, np.int32).reshape(-1, 3)
  pixels = np.random.default_rng(0).integers(0, original[0] * original[1], SAMPLES)
  for name, resize_masks in (("masks", True), ("sums", False)):
    scores = build_original(outputs, resize_masks)(inputs)[0]["sem_seg"]
    recorded[f"labels/{name}"] = scores.argmax(0).numpy().astype(np.uint8)
    recorded[f"scores/{name}"] = scores.flatten(1)[:, pixels].T.numpy()
  return recorded | {"pixels": pixels}


def build_original(outputs, panoptic, object_threshold=0.0, overlap_threshold=0.0):
  """The original, with a head that has its answer ready."""
  import torch
  from mask_former.mask_former_model import MaskFormer

  class Head(torch.nn.Module):
    num_classes = CLASSES

    def forward(self, features):
      return outputs

  table = {place: place for place in range(THINGS)}
  model = MaskFormer(
    backbone=torch.nn.Identity(),
    sem_seg_head=Head(),
    criterion=None,
    num_queries=len(outputs["pred_logits"][0]),
    panoptic_on=panoptic,
    object_mask_threshold=object_threshold,
    overlap_threshold=overlap_threshold,
    metadata=types.SimpleNamespace(thing_dataset_id_to_contiguous_id=table),
    size_divisibility=32,
    sem_seg_postprocess_before_inference=panoptic,
    pixel_mean=[0.0, 0.0, 0.0],
    pixel_std=[1.0, 1.0, 1.0],
  )
  return model.eval()


def run_test_time(image):
  """The original's mean over sizes and flips, of a network that `view_scores` stands in for."""
  import torch
  from detectron2.modeling import DatasetMapperTTA
  from mask_former.test_time_augmentation import SemanticSegmentorWithTTA

  class Network(torch.nn.Module):
    def forward(self, inputs):
      images = [each["image"].permute(1, 2, 0).numpy() for each in inputs]
      return [
        {"sem_seg": torch.from_numpy(view_scores(x).transpose(2, 0, 1).copy())} for x in images
      ]

  mapper = DatasetMapperTTA(list(VIEW_SIZES), VIEW_LIMIT, True)
  segmentor = SemanticSegmentorWithTTA(mock.MagicMock(), Network(), mapper)
  height, width = VIEW_ORIGINAL
  pixels = torch.from_numpy(image.transpose(2, 0, 1).copy())
  return segmentor([{"image": pixels, "height": height, "width": width}])[0]["sem_seg"].numpy()


def view_scores(image):
  """Scores [60, 80, 3] of an image [h, w, 3] of any size: its pixels, and where they are."""
  height, width = VIEW_ORIGINAL
  rows = np.arange(height) * len(image) // height
  columns = np.arange(width) * image.shape[1] // width
  return image[rows][:, columns].astype(np.float32) + np.arange(width)[:, None] * len(image)


class _StandIn(types.ModuleType):
  __path__ = ()

  def __getattr__(self, name):
    if name.startswith("__"):
      raise AttributeError(name)
    return mock.MagicMock()


def stand_in():
  ops = ("torchvision", "torchvision.ops", "torchvision.ops.boxes", "torchvision.transforms")
  for name in (*ops, "timm", "timm.models", "timm.models.layers", "detectron2.projects.point_rend"):
    sys.modules[name] = _StandIn(name)
  sys.modules["torchvision"].__version__ = "0.28.0"


if __name__ == "__main__":
  stand_in()
  main(pathlib.Path(sys.argv[1]), sys.argv[2])
