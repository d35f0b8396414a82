"""The two ends of a network: what is made of a raw image, and of the outputs."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from official.parity.case import Side
from official.parity.keys import ROOT, Key
from official.parity.recording.writer import RecordingWriter

IMAGE = Key("batch", "image", "raw")
_SIZE = (123, 187)  # Neither square nor even: letterboxes and odd halves show.


def raw_image(seed: int) -> np.ndarray:
  """[123, 187, 3] uint8: waves of three lengths an axis, and noise; all values occur."""
  random = np.random.default_rng(seed)
  rows, columns = np.mgrid[0 : _SIZE[0], 0 : _SIZE[1]]
  image = random.normal(0.0, 0.1, (*_SIZE, 3))
  for length in (90.0, 23.0, 6.0):
    turn = random.uniform(0, 2 * np.pi, (2, 3))
    image += np.sin(rows[..., None] / length * 6 + turn[0])
    image += np.sin(columns[..., None] / length * 6 + turn[1])
  low, high = image.min(), image.max()
  return np.round((image - low) / (high - low) * 255).astype(np.uint8)


def record_preprocess(writer: RecordingWriter, side: Side, image: np.ndarray) -> None:
  """Writes what `side` makes of `image`, [h, w, 3] uint8, and the image."""
  writer.write(IMAGE, image)
  for name, array in side.preprocess(image).items():
    writer.write(Key("preprocess", "array", name), np.asarray(array))


def record_postprocess(
  writer: RecordingWriter, side: Side, outputs: Mapping[str, np.ndarray]
) -> None:
  """Writes what `side` makes of its network's outputs, by leaf name."""
  for name, array in side.postprocess(outputs).items():
    writer.write(Key("postprocess", "array", name), np.asarray(array))


class OutputKeeper(RecordingWriter):
  """A recording writer that also keeps the network's own outputs in inference mode.

  Attributes:
    outputs: by leaf name.
  """

  def __init__(self, *args: Any, **kwargs: Any) -> None:
    super().__init__(*args, **kwargs)
    self.outputs: dict[str, np.ndarray] = {}

  def write(self, key: Key, array: np.ndarray) -> None:
    """As `RecordingWriter.write`."""
    super().write(key, array)
    if key[:2] == ("eval", "output") and is_own(key.name):
      self.outputs[leaf_of(key.name)] = np.array(array)


def is_own(tap: str) -> bool:
  """Whether a tap is an output of the whole network."""
  return tap.split(":", 1)[0] == ROOT


def leaf_of(tap: str) -> str:
  """The leaf's name in that of a tap of the whole network."""
  return tap.partition(":")[2]
