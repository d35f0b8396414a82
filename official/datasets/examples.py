"""One annotated image as a `tf.train.Example` with TensorFlow Model Garden's feature keys."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from official.datasets.annotations import Category, Image, Object
from official.datasets.images import check_image, read_bytes
from official.datasets.masks import (
  decode_segmentation,
  encode_png,
  fits_masks,
  panoptic_masks,
  read_panoptic,
  segment_places,
)
from official.datasets.problems import BadInput, Problems
from official.datasets.tfrecord import Feature, encode_example


@dataclass(frozen=True)
class Source:
  """Where the pixels are, and what to make of them.

  Attributes:
    images: directory of the images.
    panoptic_masks: directory of the panoptic PNGs; None without panoptic annotations.
    masks: whether to write the objects' masks.
    categories: the category table, by id.
  """

  images: Path
  panoptic_masks: Path | None
  masks: bool
  categories: dict[int, Category]


@dataclass(frozen=True)
class Example:
  """A serialized `tf.train.Example` and the number of objects in it."""

  data: bytes
  boxes: int


def make_example(image: Image, source: Source, problems: Problems) -> Example | None:
  """Serializes an image with its annotations; None where the image is of no use.

  Features, in the meaning of TFMG's `create_coco_tf_record`: `image/{encoded,format,filename,
  source_id,height,width,key/sha256}`; with objects `image/object/{bbox/xmin,bbox/xmax,bbox/ymin,
  bbox/ymax,class/label,class/text,is_crowd,area}` (boxes normalized, the label the file's category
  id) and, on demand, `image/object/mask` (PNG); with panoptic annotations
  `image/panoptic/{category_mask,instance_mask}` and `image/segmentation/class/encoded` (PNG), where
  they can hold the categories, and what is not TFMG's, `image/segments/*` of `segment_features`.

  Args:
    image: the image and its annotations.
    source: where its pixels are.
    problems: receives what is wrong with the image or one of its objects, which is left out.
  """
  path = source.images / image.file_name
  try:
    features = image_features(read_bytes(path), image)
    ids = None
    if image.panoptic and source.panoptic_masks:
      mask_path = source.panoptic_masks / image.panoptic.file_name
      ids = read_panoptic(mask_path, image.height, image.width)
      features |= _panoptic_features(ids, image, mask_path, source)
  except BadInput as error:
    problems.report(f"{path}: image id {image.id}: {error}")
    return None
  objects, pngs = image.objects, None
  if source.masks:
    objects, pngs = _masked_objects(image, path, ids, problems)
  if objects:
    features |= _object_features(image, objects, source.categories)
    if pngs:
      features["image/object/mask"] = pngs
  return Example(encode_example(features), len(objects))


def image_features(data: bytes, image: Image) -> dict[str, Feature]:
  """The features of an image file's bytes.

  Raises:
    BadInput: when they are not an image of that size.
  """
  return {
    "image/encoded": [data],
    "image/format": [check_image(data, image.height, image.width).encode()],
    "image/filename": [image.file_name.encode()],
    "image/source_id": [str(image.id).encode()],
    "image/height": np.array([image.height]),
    "image/width": np.array([image.width]),
    "image/key/sha256": [hashlib.sha256(data).hexdigest().encode()],
  }


def segment_features(
  places: np.ndarray, ids: Sequence[int], labels: Sequence[int], crowds: Sequence[bool]
) -> dict[str, Feature]:
  """An image's segments: which pixels belong to which, and what each is.

  Args:
    places: for each pixel its segment's place in the lists below, from 1; 0 is void; uint8 [h, w].
    ids: the segments' ids.
    labels: their category ids.
    crowds: whether they are crowds.

  Returns:
    `image/segments/{mask,id,label,is_crowd}`, the mask as a PNG.
  """
  return {
    "image/segments/mask": [encode_png(places)],
    "image/segments/id": np.array(ids, np.int64),
    "image/segments/label": np.array(labels, np.int64),
    "image/segments/is_crowd": np.array(crowds, np.int64),
  }


def _panoptic_features(
  ids: np.ndarray, image: Image, mask_path: Path, source: Source
) -> dict[str, Feature]:
  try:
    places = segment_places(ids, image.panoptic)
  except BadInput as error:
    raise BadInput(f"{mask_path}: {error}") from error
  rows = [(s.id, s.category_id, s.is_crowd) for s in image.panoptic.segments]
  features = segment_features(places, *(zip(*rows, strict=True) if rows else ((), (), ())))
  if fits_masks(source.categories.values()):
    masks = panoptic_masks(places, image.panoptic, source.categories)
    features |= {
      "image/panoptic/category_mask": [encode_png(masks["category"])],
      "image/panoptic/instance_mask": [encode_png(masks["instance"])],
      "image/segmentation/class/encoded": [encode_png(masks["semantic"])],
    }
  return features


def _masked_objects(
  image: Image, path: Path, ids: np.ndarray | None, problems: Problems
) -> tuple[list[Object], list[bytes]]:
  """The objects whose masks are of use, and those masks as PNGs."""
  objects, pngs = [], []
  for thing in image.objects:
    try:
      if thing.segmentation is None and ids is not None:
        mask = (ids == thing.id).astype(np.uint8)
      else:
        mask = decode_segmentation(thing.segmentation, image.height, image.width)
    except BadInput as error:
      problems.report(f"{path}: image id {image.id}: annotation id {thing.id}: {error}")
      continue
    objects.append(thing)
    pngs.append(encode_png(mask))
  return objects, pngs


def _object_features(
  image: Image, objects: list[Object], categories: dict[int, Category]
) -> dict[str, Feature]:
  size = [image.width, image.height, image.width, image.height]
  boxes = np.array([thing.box for thing in objects], np.float64) / size
  names = [categories[thing.category_id].name for thing in objects]
  return {
    "image/object/bbox/xmin": boxes[:, 0],
    "image/object/bbox/ymin": boxes[:, 1],
    "image/object/bbox/xmax": boxes[:, 2],
    "image/object/bbox/ymax": boxes[:, 3],
    "image/object/class/label": np.array([thing.category_id for thing in objects]),
    "image/object/class/text": [name.encode() for name in names],
    "image/object/is_crowd": np.array([int(thing.is_crowd) for thing in objects]),
    "image/object/area": np.array([thing.area for thing in objects], np.float64),
  }
