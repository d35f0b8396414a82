"""Writes recordings."""

import contextlib
import dataclasses
import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

import google_crc32c
import numpy as np

from official.cli.errors import UserError
from official.cli.files import atomic_file
from official.parity.keys import Key
from official.parity.recording import container
from official.parity.recording.appending import Appender
from official.parity.recording.header import Contents, Entry, Header, TapInfo
from official.parity.recording.tiers import Statistics, Tier

_SMALL = 128  # Entries; smaller arrays are kept whole in the statistics tier.
_LARGE = 1 << 16  # Bytes; whether smaller arrays are in the file already is not looked for.
_WHOLE_PHASES = ("init", "batch")  # Needed to run the candidate; the statistics tier keeps them.
_HASHES = {"init": "parameters", "batch": "batch"}


class RecordingWriter:
  """Writes a recording; a context manager. After an exception no file is left.

  Args:
    path: of the file to make.
    header: where the recording comes from.
    tier: how much is kept of each array. Weights and batch are kept whole but in `STRUCTURE`.
  """

  def __init__(self, path: Path, header: Header, tier: Tier = Tier.FULL) -> None:
    self.path = Path(path)
    self._contents = Contents(header, Tier(tier))
    self._places: container.Places = {}
    self._end = 0
    self._hashes = {name: hashlib.sha256() for name in _HASHES.values()}
    self._large: dict[tuple[Any, ...], str] = {}
    self._stack = contextlib.ExitStack()
    self._file: BinaryIO
    self._appender: Appender

  def __enter__(self) -> Self:
    self._file = self._stack.enter_context(atomic_file(self.path))
    self._file.seek(container.RESERVED)
    self._appender = Appender(self._file)
    self._stack.callback(self._appender.close)
    return self

  def __exit__(self, *exception: Any) -> None:
    if exception[0]:
      self._stack.__exit__(*exception)
      return
    with self._stack:
      self._finish()

  def write(self, key: Key, array: np.ndarray) -> None:
    """Writes one array at once; it may change afterwards.

    Raises:
      ValueError: the key has been written before.
      UserError: the array's dtype has no place in safetensors (complex, strings, objects).
    """
    name = str(key)
    if name in self._contents.entries or name in self._contents.absent:
      raise ValueError(f"{name} is recorded twice")
    array = np.asarray(array)
    if array.dtype not in container.CODE_OF:
      raise UserError(f"{self.path}: {name} is {array.dtype}, which a recording cannot hold")
    form = self._form(key, array)
    kept = _kept(array, form)
    entry = Entry(form, array.dtype.name, array.shape)
    if kept is not None:
      entry = dataclasses.replace(entry, **self._keep(name, kept))
      self._hash(key, kept)
    self._contents.entries[name] = entry

  def absent(self, key: Key, reason: str) -> None:
    """Notes that there is no array of this name, and why."""
    if str(key) in self._contents.entries:
      raise ValueError(f"{key} is recorded and absent")
    self._contents.absent[str(key)] = reason

  def read_back(self, key: Key, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What was kept under `key`, and what would be of `array`: values, figures or nothing."""
    entry = self._contents.entries[str(key)]
    kept = _kept(array, entry.form)
    if kept is None:
      return np.zeros(0), np.zeros(0)
    return self._read(entry.same_as or str(key)), kept

  def taps(self, phase: str, taps: Sequence[TapInfo]) -> None:
    """Describes the taps of a phase, in execution order."""
    self._contents.taps[phase] = list(taps)

  def note(self, name: str, value: Any) -> None:
    """Notes what was found out on the way; plain JSON values only."""
    self._contents.notes[name] = value

  def _form(self, key: Key, array: np.ndarray) -> Tier:
    tier = self._contents.tier
    if tier == Tier.STATISTICS and (key.phase in _WHOLE_PHASES or array.size <= _SMALL):
      return Tier.FULL
    return tier

  def _keep(self, name: str, kept: np.ndarray) -> dict[str, Any]:
    """Writes `kept`, unless the same is in the file: many modules hand on what another made."""
    data = _bytes(kept)
    crc = google_crc32c.value(data)
    if data.nbytes < _LARGE:
      self._append(name, kept)
      return {"crc": crc}
    same_as = self._large.setdefault((crc, zlib.crc32(data), kept.dtype.name, kept.shape), name)
    if same_as == name:
      self._append(name, kept)
      return {"crc": crc}
    return {"crc": crc, "same_as": same_as}

  def _append(self, name: str, kept: np.ndarray) -> None:
    data = _bytes(kept)
    self._appender.append(data)
    self._places[name] = {
      "dtype": container.CODE_OF[kept.dtype],
      "shape": list(kept.shape),
      "data_offsets": [self._end, self._end + data.nbytes],
    }
    self._end += data.nbytes

  def _read(self, name: str) -> np.ndarray:
    place = self._places[name]
    self._appender.wait()
    with open(self._file.name, "rb") as file:
      file.seek(container.RESERVED + place["data_offsets"][0])
      data = np.fromfile(file, container.CODES[place["dtype"]], int(np.prod(place["shape"])))
    return data.reshape(place["shape"])

  def _hash(self, key: Key, kept: np.ndarray) -> None:
    if key.phase in _HASHES:
      hash_ = self._hashes[_HASHES[key.phase]]
      hash_.update(f"{key} {kept.dtype} {kept.shape}\n".encode())
      hash_.update(_bytes(kept))

  def _finish(self) -> None:
    self._contents.hashes = {name: hash_.hexdigest() for name, hash_ in self._hashes.items()}
    self._appender.wait()
    container.write_header(self._file, self._places, self._contents)


def _kept(array: np.ndarray, form: Tier) -> np.ndarray | None:
  if form == Tier.STRUCTURE:
    return None
  return Statistics.of(array).vector() if form == Tier.STATISTICS else array


def _bytes(array: np.ndarray) -> np.ndarray:
  return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
