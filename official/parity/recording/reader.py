"""Recordings: what one side computed, on disk as one safetensors file.

Arrays go to disk as they are written; the file appears, whole, when the writer is closed. Reading
maps one array at a time, so that neither costs memory. Other readers of safetensors read it too.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from official.cli.errors import UserError
from official.parity.keys import Key
from official.parity.recording import container
from official.parity.recording.header import Header, TapInfo
from official.parity.recording.tiers import Statistics, Tier
from official.parity.recording.writer import RecordingWriter

__all__ = ["Header", "Recording", "RecordingWriter", "Statistics", "TapInfo", "Tier"]


class Recording:
  """Reads a recording, array by array.

  Args:
    path: of the file.
    mapped: whether arrays are mapped from the file, as long as they are used; else they are read,
      and a file that is removed frees its disk although a cache holds some of them.

  Attributes:
    path: of the file.
    header: where it comes from.
    tier: how much it keeps.
    absent: keys that have no array, with the reason.
    notes: what was found out while recording.
    hashes: SHA-256 of "parameters" and "batch".

  Raises:
    UserError: the file is missing, cut short, damaged, or no recording of this version.
  """

  def __init__(self, path: Path, mapped: bool = True) -> None:
    self.path = Path(path)
    self._mapped = mapped
    self._places, contents, self._start = container.read_header(self.path)
    self._entries = {Key.parse(name): entry for name, entry in contents.entries.items()}
    self._taps = contents.taps
    self._verified: set[Key] = set()
    self.header = contents.header
    self.tier = contents.tier
    self.absent = {Key.parse(name): reason for name, reason in contents.absent.items()}
    self.notes: Mapping[str, Any] = contents.notes
    self.hashes: Mapping[str, str] = contents.hashes

  def keys(self) -> list[Key]:
    """Keys of all arrays, in the order in which they were written, whatever is kept of them."""
    return list(self._entries)

  def __contains__(self, key: Key) -> bool:
    return key in self._entries

  def __iter__(self) -> Iterator[Key]:
    return iter(self._entries)

  def names(self, phase: str, section: str) -> list[str]:
    """Names of the arrays of one section, in the order in which they were written."""
    return [key.name for key in self._entries if key[:2] == (phase, section)]

  def section(self, phase: str, section: str) -> dict[str, np.ndarray]:
    """All arrays of one section, by name; mapped, not read."""
    return {name: self.read(Key(phase, section, name)) for name in self.names(phase, section)}

  @property
  def phases(self) -> list[str]:
    """Phases that have taps."""
    return list(self._taps)

  def taps(self, phase: str) -> list[TapInfo]:
    """The taps of a phase in execution order; empty where it was not recorded."""
    return self._taps.get(phase, [])

  def shape(self, key: Key) -> tuple[int, ...]:
    """Shape of the array, whatever is kept of it."""
    return self._entries[key].shape

  def dtype(self, key: Key) -> np.dtype:
    """Dtype of the array, whatever is kept of it."""
    return np.dtype(self._entries[key].dtype)

  def form(self, key: Key) -> Tier:
    """How much is kept of the array."""
    return self._entries[key].form

  def read(self, key: Key) -> np.ndarray:
    """The array, read-only.

    Raises:
      KeyError: no such key.
      UserError: the recording keeps only figures of it, or its bytes are damaged.
    """
    entry = self._entries[key]
    if entry.form != Tier.FULL:
      raise UserError(
        f"{self.path} keeps only the {entry.form} of {key}: record it with the tier full"
      )
    return self._kept(key)

  def statistics(self, key: Key) -> Statistics:
    """Figures of the array.

    Raises:
      KeyError: no such key.
      UserError: the recording keeps only shapes, or the bytes are damaged.
    """
    form = self._entries[key].form
    if form == Tier.STRUCTURE:
      raise UserError(f"{self.path} keeps only shapes: record it with the tier statistics or full")
    kept = self._kept(key)
    return Statistics.from_vector(kept) if form == Tier.STATISTICS else Statistics.of(kept)

  def _kept(self, key: Key) -> np.ndarray:
    place = self._places[self._entries[key].same_as or str(key)]
    start, end = place["data_offsets"]
    dtype, shape = container.CODES[place["dtype"]], tuple(place["shape"])
    if start == end:
      return np.zeros(shape, dtype)
    data = self._bytes(self._start + start, end - start)
    if key not in self._verified and google_crc32c.value(data) != self._entries[key].crc:
      raise UserError(f"{self.path} is damaged at {key}: record it again, or copy it again")
    self._verified.add(key)
    if (self._start + start) % dtype.itemsize:
      data = np.array(data)  # Behind an array of odd size; frameworks want aligned memory.
      data.flags.writeable = False
    return data.view(dtype).reshape(shape).view(np.ndarray)

  def _bytes(self, offset: int, count: int) -> np.ndarray:
    if self._mapped:
      return np.memmap(self.path, np.uint8, "r", offset, (count,))
    data = np.fromfile(self.path, np.uint8, count, offset=offset)
    data.flags.writeable = False
    return data
