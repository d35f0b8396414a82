"""Recordings of the original that lie beside this module, packed; see `recordings/README.md`.

Weights and batches are not in them: both follow from rules, and are checked against the recording.
"""

import functools
from pathlib import Path

import numpy as np

from official.cli.errors import UserError
from official.parity.keys import Key
from official.parity.recording import packing
from official.parity.sides import original
from projects.maskformer.reference.batch import batch
from projects.maskformer.reference.weights import draw

SEED = 0
FOLDER = Path(__file__).parent / "recordings"


def is_made(key: Key) -> bool:
  """Whether a rule makes the array: weights, and what the networks are given."""
  return key.phase in ("init", "batch") and key.section != "image"


def pack(recording: Path, packed: Path) -> None:
  """Packs a recording of the original."""
  packing.pack(recording, packed, is_made)


def restore(name: str, classes: int, precision: str, seed: int, directory: Path) -> Path:
  """Unpacks a recording, and the golden one that belongs to it.

  Args:
    name: of the variant.
    classes: that it tells apart.
    precision: of the recording.
    seed: of weights and batches.
    directory: where the recording is made.

  Returns:
    its path; that of the golden one follows from it.

  Raises:
    UserError: there is none of that precision and seed.
  """
  if seed != SEED:
    raise UserError(f"maskformer/{name} is recorded with the seed {SEED} alone, not with {seed}")
  path = directory / f"{name}.{precision}.safetensors"
  golden = () if precision == "float64" else (original.golden_path(path),)
  for file in (path, *golden):
    packing.unpack(packed_path(file), file, functools.partial(_make, classes, precision))
  return path


def packed_path(recording: Path) -> Path:
  """Where the packed form of a recording of that name is kept."""
  return FOLDER / f"{recording.stem}.npz"


def _make(
  classes: int, precision: str, key: Key, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
  """A weight or an input, rounded to the run's precision whatever the recording's own."""
  if key.phase == "init":
    array = draw({key.name: shape}, SEED)[key.name]
  else:
    step = 1 if key.section == "input" else int(key.section.removeprefix("step"))
    array = batch(classes, SEED + step - 1)[key.name]
  return original.cast({key.name: array}, precision)[key.name].astype(dtype)
