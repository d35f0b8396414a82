"""The index of a zip file, read strictly.

Zip files say everything twice, in the entries and in the central directory, and tools that believe
different halves see different files. Here both must agree, entries must not overlap, and names must
stay inside the archive. Nothing is unpacked: torch stores entries without compression.
"""

import struct
from typing import NamedTuple

from official.checkpoints.problems import UNTRUSTED, Unreadable, shown

SIGNATURE = b"PK\x03\x04"
MAX_ENTRIES = 200_000
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_FULL = 0xFFFFFFFF  # "See the zip64 record."
_ENCRYPTED = 0x2041


class Entry(NamedTuple):
  """A file in the archive.

  Attributes:
    start: its first byte.
    size: its number of bytes, as they are in the archive.
    crc: the CRC-32 of its content.
    stored: whether those bytes are its content: not compressed, not encrypted.
  """

  start: int
  size: int
  crc: int
  stored: bool


class _Central(NamedTuple):
  name: bytes
  size: int
  crc: int
  stored: bool
  header: int


def read_index(data: memoryview) -> dict[str, Entry]:
  """The entries of the zip file `data` by name.

  Raises:
    Unreadable: it is damaged, or not as torch writes such files.
  """
  start, end, count = _directory(data)
  if count > MAX_ENTRIES:
    raise Unreadable(f"its zip directory has {count:,} entries", UNTRUSTED)
  entries: dict[str, Entry] = {}
  spans = []
  position = start
  for _ in range(count):
    central, position = _central(data, position, end)
    entry = _entry(data, central, start)
    name = _name(central.name)
    if name in entries:
      raise Unreadable(f"its zip directory has {shown(name)} twice", UNTRUSTED)
    entries[name] = entry
    spans.append((central.header, entry.start + entry.size))
  if position != end:
    raise Unreadable("its zip directory has a wrong length")
  _check_apart(spans)
  return entries


def _unpack(form: struct.Struct, data: memoryview, position: int, what: str) -> tuple:
  if position < 0 or position + form.size > len(data):
    raise Unreadable(f"its zip {what} is cut short")
  return form.unpack_from(data, position)


def _directory(data: memoryview) -> tuple[int, int, int]:
  """The central directory's first byte, the byte after it, and its number of entries."""
  tail = bytes(data[-_END.size :])
  if len(tail) < _END.size or tail[:4] != b"PK\x05\x06":
    raise Unreadable("it is a zip file without its end")
  _, disk, first_disk, here, count, size, start, _ = _END.unpack(tail)
  stop = len(data) - _END.size
  if bytes(data[max(0, stop - _LOCATOR.size) :][:4]) == b"PK\x06\x07":
    _, _, stop, _ = _unpack(_LOCATOR, data, stop - _LOCATOR.size, "locator")
    record = _unpack(_END_64, data, stop, "end")
    if record[0] != b"PK\x06\x06":
      raise Unreadable("its zip locator points nowhere")
    _, _, _, _, disk, first_disk, here, count, size, start = record
  if disk or first_disk or here != count or start + size != stop:
    raise Unreadable("its zip directory is not where the end says")
  return start, stop, count


def _central(data: memoryview, position: int, end: int) -> tuple[_Central, int]:
  """The directory's entry at `position`, and the position after it."""
  record = _unpack(_CENTRAL, data[:end], position, "directory")
  (signature, _, _, flags, method, _, _, crc, packed, size) = record[:10]
  name_size, extra_size, comment_size, _, _, _, header = record[10:]
  if signature != b"PK\x01\x02":
    raise Unreadable("its zip directory is damaged")
  names = position + _CENTRAL.size
  extras = names + name_size
  after = extras + extra_size + comment_size
  if after > end:
    raise Unreadable("its zip directory is cut short")
  name = bytes(data[names:extras])
  wide = _wide(bytes(data[extras : extras + extra_size]))
  size, packed, header = (
    wide.pop(0) if value == _FULL and wide else value for value in (size, packed, header)
  )
  stored = not method and not flags & _ENCRYPTED and packed == size
  return _Central(name, packed, crc, stored, header), after


def _wide(extra: bytes) -> list[int]:
  """The 64-bit numbers of the zip64 field, which stand for those that are `_FULL`."""
  position = 0
  while position + 4 <= len(extra):
    kind, size = struct.unpack_from("<2H", extra, position)
    if kind == 1 and position + 4 + size <= len(extra):
      return list(struct.unpack_from(f"<{size // 8}Q", extra, position + 4))
    position += 4 + size
  return []


def _entry(data: memoryview, central: _Central, limit: int) -> Entry:
  """Checks the entry itself against the directory; its content must end before `limit`."""
  record = _unpack(_LOCAL, data, central.header, "entry")
  signature, _, flags, method, *_, name_size, extra_size = record
  names = central.header + _LOCAL.size
  start = names + name_size + extra_size
  same = bytes(data[names : names + name_size]) == central.name
  stored = not method and not flags & _ENCRYPTED
  if signature != SIGNATURE or not same or (central.stored and not stored):
    raise Unreadable(f"its zip entry of {shown(_name(central.name))} differs from the directory's")
  if start + central.size > limit:
    raise Unreadable(f"{shown(_name(central.name))} in it is cut short")
  return Entry(start, central.size, central.crc, central.stored)


def _name(raw: bytes) -> str:
  try:
    name = raw.decode("utf-8")
  except UnicodeDecodeError as error:
    raise Unreadable("a name in its zip directory is not UTF-8") from error
  outside = name.startswith("/") or ".." in name.split("/")
  if outside or any(c in name for c in "\\:\0"):
    raise Unreadable(f"its zip directory names {shown(name)}, outside the archive", UNTRUSTED)
  return name


def _check_apart(spans: list[tuple[int, int]]) -> None:
  end = 0
  for start, stop in sorted(spans):
    if start < end:
      raise Unreadable("entries of its zip overlap", UNTRUSTED)
    end = stop
