"""Scenes of the built-in data set: shapes on textured grounds, with what is visible of each.

The classes differ in shape and not in colour, rotation stays within 15 degrees, and a shape that
would be hidden by more than 30 % is not placed: a good detector can find nearly all of them.
"""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

THINGS = {1: "circle", 3: "square", 7: "triangle", 18: "star", 44: "cross", 62: "ring"}
STUFF = {92: "stripes", 118: "checker", 149: "dots", 187: "gradient"}  # Ids as COCO's: from 92.

_SUBPIXEL_BITS = 4
_REFERENCE_SIZE = 160  # Lengths below are in pixels of an image of this size.
_SIZES = ((12, 20, 0.2), (20, 44, 0.45), (44, 80, 0.35))  # From, to, share of the objects.
_SIZE_LIMITS = np.cumsum([share for *_, share in _SIZES])[:-1]
_THINGS = (2, 11)  # Least and most that are tried in a scene that is not empty.
_CROWD_SIZE = (8, 12)
_MAX_ROTATION = math.radians(15)
_MIN_VISIBLE_SHARE, _MIN_VISIBLE_AREA = 0.7, 30
_EMPTY_SHARE, _CROWD_SHARE = 0.065, 0.1
_CONTRAST = 100.0  # Least distance in RGB between a shape and what it may lie on.
_TRIES = 12


@dataclass(frozen=True)
class Thing:
  """A visible object: its category, and `code`, its number in `Scene.codes`."""

  category_id: int
  code: int
  is_crowd: bool


@dataclass
class Scene:
  """An image and its layers.

  Attributes:
    pixels: uint8 [s, s, 3], RGB.
    grounds: the stuff category id of each pixel's ground, uint8 [s, s].
    codes: the code of the thing that each pixel shows, 0 for the ground, uint8 [s, s].
    things: the things, in the order of their codes.
  """

  pixels: np.ndarray
  grounds: np.ndarray
  codes: np.ndarray
  things: list[Thing] = field(default_factory=list)


def draw_scene(rng: np.random.Generator, size: int) -> Scene:
  """Draws a random scene of `size` x `size` pixels; a pure function of the generator's state."""
  pixels, grounds, colours = _draw_grounds(rng, size)
  scene = Scene(pixels, grounds, np.zeros((size, size), np.uint8))
  painter = _Painter(rng, scene, colours)
  if rng.random() >= _EMPTY_SHARE:
    if rng.random() < _CROWD_SHARE:
      painter.add_crowd()
    for _ in range(rng.integers(*_THINGS, endpoint=True)):
      painter.add_thing()
  return scene


@dataclass(frozen=True)
class _Stamp:
  """A shape drawn in a window of the image: coverage uint8 [h, w], and where the window is."""

  alpha: np.ndarray
  window: tuple[slice, slice]
  whole: int  # Pixels of the shape, those beyond the image's edges included.

  @property
  def mask(self) -> np.ndarray:
    return self.alpha > 127


class _Painter:
  """Adds things to a scene."""

  def __init__(self, rng: np.random.Generator, scene: Scene, colours: list[np.ndarray]) -> None:
    self._rng, self._scene, self._colours = rng, scene, colours
    self._size = len(scene.codes)
    self._scale = self._size / _REFERENCE_SIZE
    self._whole, self._visible = [0], [0]  # Pixels of each thing by code; 0 is the ground.

  def add_thing(self) -> None:
    """Adds a thing where it hides nothing too much; none where no such place is found."""
    low, high, _ = _SIZES[np.searchsorted(_SIZE_LIMITS, self._rng.random())]
    category = self._category()
    diameter = self._rng.uniform(low, high) * self._scale
    for _ in range(_TRIES):
      centre = self._rng.uniform(0.3 * diameter, self._size - 0.3 * diameter, 2)
      stamp = self._stamp(category, centre, diameter)
      if self._fits(stamp):
        self._paint(category, stamp, is_crowd=False)
        return

  def add_crowd(self) -> None:
    """Adds a cluster of small things of one category, annotated as one region."""
    category, alpha = self._category(), np.zeros((self._size, self._size), np.uint8)
    middle = self._rng.uniform(30, _REFERENCE_SIZE - 30, 2)
    for _ in range(self._rng.integers(8, 14)):
      centre = (middle + self._rng.uniform(-18, 18, 2)) * self._scale
      stamp = self._stamp(category, centre, self._rng.uniform(*_CROWD_SIZE) * self._scale)
      np.maximum(alpha[stamp.window], stamp.alpha, out=alpha[stamp.window])
    everywhere = (slice(None), slice(None))
    whole = int((alpha > 127).sum())
    self._paint(category, _Stamp(alpha, everywhere, whole), is_crowd=True)

  def _category(self) -> int:
    return list(THINGS)[self._rng.integers(len(THINGS))]

  def _stamp(self, category: int, centre: np.ndarray, diameter: float) -> _Stamp:
    angle = self._rng.uniform(-_MAX_ROTATION, _MAX_ROTATION)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    reach = math.ceil(0.75 * diameter) + 1  # A square's corner turned is 0.64 diameters away.
    corner = np.floor(centre).astype(int) - reach
    alpha = np.zeros((2 * reach + 1, 2 * reach + 1), np.uint8)
    for value, outline in zip((255, 0), _OUTLINES[THINGS[category]], strict=False):
      # OpenCV counts from the middle of the first pixel.
      points = outline @ turn * (diameter / 2) + (centre - corner - 0.5)
      points = np.round(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)
      cv2.fillPoly(alpha, [points], value, cv2.LINE_AA, _SUBPIXEL_BITS)
    (left, top), (right, bottom) = np.maximum(corner, 0), corner + len(alpha)
    inside = alpha[
      top - corner[1] : self._size - corner[1], left - corner[0] : self._size - corner[0]
    ]
    return _Stamp(inside, (slice(top, bottom), slice(left, right)), int((alpha > 127).sum()))

  def _fits(self, stamp: _Stamp) -> bool:
    """Whether the new thing and all that it would cover stay visible enough."""
    visible = np.append(self._visible_under(stamp), np.count_nonzero(stamp.mask))[1:]
    whole = np.append(self._whole, stamp.whole)[1:]
    return bool(np.all((visible >= _MIN_VISIBLE_SHARE * whole) & (visible >= _MIN_VISIBLE_AREA)))

  def _visible_under(self, stamp: _Stamp) -> np.ndarray:
    """Visible pixels of each thing, by code, once the stamp lies on top."""
    covered = self._scene.codes[stamp.window][stamp.mask]
    return np.array(self._visible) - np.bincount(covered, minlength=len(self._visible))

  def _paint(self, category: int, stamp: _Stamp, is_crowd: bool) -> None:
    scene, colour, code = self._scene, self._contrasting_colour(), len(self._whole)
    self._visible = [*self._visible_under(stamp), np.count_nonzero(stamp.mask)]
    self._whole.append(stamp.whole)
    below = scene.pixels[stamp.window]
    weight = stamp.alpha[..., None] * np.float32(1 / 255)
    below[:] = below + (colour - below) * weight
    scene.codes[stamp.window][stamp.mask] = code
    scene.things.append(Thing(category, code, is_crowd))

  def _contrasting_colour(self) -> np.ndarray:
    """Of some random colours the first far enough from all others, or the farthest."""
    candidates = self._rng.uniform(0, 255, (16, 3)).astype(np.float32)
    others = np.stack(self._colours)
    distances = np.sqrt(((candidates[:, None] - others) ** 2).sum(axis=-1)).min(axis=1)
    best = int(np.argmax(np.minimum(distances, _CONTRAST)))
    self._colours.append(candidates[best])
    return candidates[best]


def _draw_grounds(
  rng: np.random.Generator, size: int
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
  """One to three grounds parted by straight lines: pixels, category ids, mean colours."""
  y, x = np.mgrid[:size, :size].astype(np.float32) * np.float32(_REFERENCE_SIZE / size)
  chosen = rng.permutation(list(STUFF))[: rng.integers(1, 4)]
  colours = rng.uniform(50, 205, (len(chosen), 3)).astype(np.float32)
  contrasts = rng.uniform(-1, 1, colours.shape)
  contrasts *= rng.uniform(25, 45, (len(chosen), 1)) / np.linalg.norm(contrasts, axis=1)[:, None]
  texture = np.empty((size, size), np.float32)
  numbers = np.zeros((size, size), np.intp)
  for number, category in enumerate(chosen):
    region = _beyond_line(rng, x, y) if number else np.True_
    np.copyto(numbers, number, where=region)
    np.copyto(texture, _TEXTURES[STUFF[int(category)]](rng, x, y), where=region)
  pixels = contrasts.astype(np.float32)[numbers]
  pixels *= (texture - 0.5)[..., None]
  pixels += colours[numbers] + 0.5  # Cutting off the fraction then rounds.
  return pixels.clip(0, 255).astype(np.uint8), chosen.astype(np.uint8)[numbers], list(colours)


def _beyond_line(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
  angle, offset = rng.uniform(0, 2 * math.pi), rng.uniform(-35, 35)
  offset += _REFERENCE_SIZE / 2 * (math.cos(angle) + math.sin(angle))
  return x * np.float32(math.cos(angle)) + y * np.float32(math.sin(angle)) > np.float32(offset)


def _turned(
  rng: np.random.Generator, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  angle = rng.uniform(0, math.pi)
  cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
  return x * cos + y * sin, y * cos - x * sin


def _stripes(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
  u, _ = _turned(rng, x, y)
  return (u % (period := np.float32(rng.uniform(7, 12))) > period / 2).astype(np.float32)


def _checker(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
  u, v = _turned(rng, x, y)
  cell = np.float32(rng.uniform(4, 7))
  return (np.floor(u / cell) + np.floor(v / cell)) % 2


def _dots(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
  u, v = _turned(rng, x, y)
  cell = np.float32(rng.uniform(7, 10))
  return (np.hypot(u % cell - cell / 2, v % cell - cell / 2) < cell * 0.3).astype(np.float32)


def _gradient(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
  u, _ = _turned(rng, x, y)
  noise = rng.random(x.shape, np.float32)
  return (u - u.min()) / (u.max() - u.min()) + (noise - 0.5) * 0.6


def _regular(count: int, inner: float = 1.0) -> np.ndarray:
  """A polygon with corners on the unit circle and, between them, on one of radius `inner`."""
  angles = np.arange(2 * count) * math.pi / count - math.pi / 2
  radii = np.where(np.arange(2 * count) % 2, inner, 1.0)
  return np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=1)


def _plus(arm: float) -> np.ndarray:
  corner = np.array([[1, -arm], [1, arm], [arm, arm]])
  turn = np.array([[0, -1], [1, 0]])
  return np.concatenate([corner @ np.linalg.matrix_power(turn.T, k) for k in range(4)])


# Outlines in units of half the diameter; a second one is a hole. y points down.
_OUTLINES = {
  "circle": (_regular(24),),
  "square": (np.array([[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]]),),
  "triangle": (np.array([[0.0, -1.0], [1.0, 0.8], [-1.0, 0.8]]),),
  "star": (_regular(5, inner=0.42),),
  "cross": (_plus(0.34),),
  "ring": (_regular(24), _regular(24) * 0.55),
}
_TEXTURES = {"stripes": _stripes, "checker": _checker, "dots": _dots, "gradient": _gradient}
