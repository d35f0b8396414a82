"""Preprocessing: how each side brings a raw image to its network, found out by doing it.

An image goes through: resizing (stretched, or with its proportions kept inside a margin), perhaps
rounding to 8 bits, the order of channels, and per channel a factor and an offset.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator

import numpy as np

from official.parity.diagnosis.evidence import PreprocessEvidence
from official.parity.diagnosis.hypotheses.resizing import WAYS, Resize, cause, resize
from official.parity.diagnosis.hypotheses.solving import name
from official.parity.diagnosis.subject import Trial

ROUNDINGS = ("", "once", "twice")
PLACES = ("stretched", "centred", "in the corner")
_FIT = 1e-4  # Relative; float32 pipelines, and no two ways of resizing come so near.
ROUNDED = 2.0  # Levels of 8 bits by which libraries round differently, halves and intermediates.


@dataclasses.dataclass(frozen=True)
class Recipe:
  """What was done to the image.

  Attributes:
    place: where it lies on the canvas.
    way: how it was resized.
    rounded: to 8 bits after resizing ("once"), or after columns and after rows (Pillow's "twice").
    reversed: whether channels are.
    scale: [3], of values 0 … 255.
    offset: [3].
    margin: value around the image, after all else.
  """

  place: str
  way: Resize
  rounded: str
  reversed: bool
  scale: tuple[float, ...]
  offset: tuple[float, ...]
  margin: float | None = None


def hypotheses(evidence: PreprocessEvidence) -> Iterator[Trial]:
  """First what two arrays tell by themselves, then the candidate's recipe, field by field."""
  ours, theirs = image(evidence.candidate), image(evidence.reference)
  if ours.shape == theirs.shape:
    yield from _by_outputs(ours, theirs)
  else:
    for order in itertools.permutations(range(ours.ndim)):
      sentence = f"the original is the candidate with axes {order}"
      yield _trial("axes_swapped", sentence, lambda order=order: ours.transpose(order))
  if ours.ndim == theirs.ndim == 3:
    yield from _by_recipes(evidence.image, ours, theirs)


def image(array: np.ndarray) -> np.ndarray:
  """Without the batch's axis, in float64."""
  values = np.asarray(array, np.float64)
  return values[0] if values.ndim == 4 and len(values) == 1 else values


def _trial(what: str, sentence: str, made: Callable[[], np.ndarray]) -> Trial:
  return Trial(what, sentence, lambda: {"": made()})


def _by_outputs(ours: np.ndarray, theirs: np.ndarray) -> Iterator[Trial]:
  sentence = "channels are reversed: RGB against BGR"
  yield _trial("channels_reversed", sentence, lambda: ours[..., ::-1])
  scale, offset = fit(ours, theirs)
  sentence = f"the original is the candidate times {_list(scale)} plus {_list(offset)}, by channel"
  yield _trial("input_scaling", sentence, lambda: ours * scale + offset)
  if ours.shape[0] == ours.shape[1]:
    sentence = "height and width are exchanged"
    yield _trial("axes_swapped", sentence, lambda: ours.swapaxes(0, 1))
  for axis, word in ((0, "upside down"), (1, "mirrored")):
    sentence = f"the candidate's image is {word}"
    yield _trial("axes_swapped", sentence, lambda axis=axis: np.flip(ours, axis))
  lost = theirs.astype(np.float32) - theirs
  yield _trial("precision_lost", "the candidate rounds to float32", lambda: ours - lost)


def fit(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Least-squares scale and offset of each channel (last axis)."""
  a, b = ours.reshape(-1, ours.shape[-1]), theirs.reshape(-1, theirs.shape[-1])
  spread = a.var(0)
  scale = ((a - a.mean(0)) * (b - b.mean(0))).mean(0) / np.where(spread == 0, 1, spread)
  return scale, b.mean(0) - scale * a.mean(0)


def _list(values: np.ndarray) -> str:
  names = [name(float(value)) for value in values]
  return names[0] if len(set(names)) == 1 else f"[{', '.join(names)}]"


def _by_recipes(image: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> Iterator[Trial]:
  own, other = recipe(image, ours), recipe(image, theirs)
  if own is None or other is None:
    return
  for fields, what, words in _changes(own, other):
    changed = dataclasses.replace(own, **{field: getattr(other, field) for field in fields})
    if changed != own:
      yield _trial(what, words, functools.partial(apply, changed, image, *theirs.shape[:2]))


def _changes(own: Recipe, other: Recipe) -> Iterator[tuple[tuple[str, ...], str, str]]:
  """(fields, cause, sentence)."""
  sizes = f"the candidate's image is {own.place}, the original's {other.place}"
  yield ("rounded", "scale", "offset"), "precision_lost", "one side rounds to 8 bits after resizing"
  yield ("reversed",), "channels_reversed", "channels are reversed: RGB against BGR"
  yield ("margin",), "padding", f"the candidate pads with {own.margin}, the original {other.margin}"
  scaling = "the candidate scales by {} and adds {}, the original by {} and {}".format(
    *(_list(np.array(v)) for r in (own, other) for v in (r.scale, r.offset))
  )
  yield ("scale", "offset", "margin"), "input_scaling", scaling
  ways = f"the candidate resizes {own.way}; the original {other.way}"
  yield ("way",), cause(own.way, other.way), ways
  yield ("way", "rounded"), cause(own.way, other.way), ways
  placed = "stretched" in (own.place, other.place)
  yield ("place", "margin"), "resize_method" if placed else "padding", sizes


def recipe(image: np.ndarray, made: np.ndarray) -> Recipe | None:
  """The recipe that turns `image` most nearly into `made`; None where none comes near."""
  found = list(_recipes(image, made))
  return min(found, key=lambda pair: pair[0])[1] if found else None


def _recipes(image: np.ndarray, made: np.ndarray) -> Iterator[tuple[float, Recipe]]:
  """(error beyond what float32 makes, recipe)."""
  for place, way, rounded in itertools.product(PLACES, WAYS, ROUNDINGS):
    placed = _placed(image, place, way, rounded, *made.shape[:2])
    if placed is None:
      continue
    content, (top, left) = placed
    h, w = content.shape[:2]
    inside = made[top : top + h, left : left + w]
    for reversed_ in (False, True):
      source = content[..., ::-1] if reversed_ else content
      scale, offset = fit(source, inside)
      error = np.abs(source * scale + offset - inside).max()
      exact = _FIT * max(np.abs(inside).max(), 1e-12)
      if error <= max(exact, ROUNDED * np.abs(scale).max() if rounded else 0.0):
        margin = _margin(made, top, left, h, w)
        kind = Recipe(place, way, rounded, reversed_, tuple(scale), tuple(offset), margin)
        yield max(error - exact, 0.0), kind


def _margin(made: np.ndarray, top: int, left: int, h: int, w: int) -> float | None:
  outside = np.ones(made.shape[:2], bool)
  outside[top : top + h, left : left + w] = False
  return float(made[outside].mean()) if outside.any() else None


@functools.lru_cache(maxsize=512)
def _resized(
  image: bytes, shape: tuple[int, ...], way: Resize, rounded: str, h: int, w: int
) -> np.ndarray:
  pixels = np.frombuffer(image, np.uint8).reshape(1, *shape).astype(np.float64)
  if rounded == "twice":
    across = _round(resize(pixels, way, shape[0], w, _fixed_point))
    return _round(resize(across, way, h, w, _fixed_point)[0])
  made = resize(pixels, way, h, w)[0]
  return _round(made) if rounded else made


def _fixed_point(weights: np.ndarray) -> np.ndarray:
  """Pillow's weights, of 22 bits: they decide how halves are rounded."""
  return np.floor(weights * 2**22 + 0.5) / 2**22


def _round(values: np.ndarray) -> np.ndarray:
  return np.clip(np.floor(values + 0.5), 0, 255)


def _placed(
  image: np.ndarray, place: str, way: Resize, rounded: str, height: int, width: int
) -> tuple[np.ndarray, tuple[int, int]] | None:
  """The resized image in 0 … 255 and its corner; None where the place makes no difference."""
  h, w = height, width
  if place != "stretched":
    ratio = min(height / image.shape[0], width / image.shape[1])
    h, w = (
      min(round(n * ratio), most) for n, most in zip(image.shape, (height, width), strict=False)
    )
    if (h, w) == (height, width):
      return None
  content = _resized(image.tobytes(), image.shape, way, rounded, h, w)
  corner = ((height - h) // 2, (width - w) // 2) if place == "centred" else (0, 0)
  return content, corner


def apply(recipe_: Recipe, image: np.ndarray, height: int, width: int) -> np.ndarray:
  """[height, width, 3]: what the recipe makes of the image."""
  placed = _placed(image, recipe_.place, recipe_.way, recipe_.rounded, height, width)
  if placed is None:
    placed = _placed(image, "stretched", recipe_.way, recipe_.rounded, height, width)
  content, (top, left) = placed
  content = content[..., ::-1] if recipe_.reversed else content
  made = np.full((height, width, content.shape[-1]), recipe_.margin or 0.0)
  h, w = content.shape[:2]
  made[top : top + h, left : left + w] = content * recipe_.scale + recipe_.offset
  return made
