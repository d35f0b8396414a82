"""The bytes of a pickle, read in order and never beyond their end."""

import struct
from typing import Any

from official.checkpoints.problems import Unreadable

_MAX_LINE = 256


class Stream:
  """A position in the bytes of a file.

  Args:
    data: the file.
    start: where the pickle begins.
  """

  def __init__(self, data: memoryview, start: int) -> None:
    self.data = data
    self.position = start

  def broken(self, what: str) -> Unreadable:
    """An error that says where in the file."""
    return Unreadable(f"its pickle {what} (byte {self.position})")

  def take(self, count: int) -> memoryview:
    """The next `count` bytes."""
    end = self.position + count
    if end > len(self.data):
      raise self.broken("is cut short")
    taken = self.data[self.position : end]
    self.position = end
    return taken

  def number(self, form: str) -> Any:
    """The next number, as `struct` describes it."""
    return struct.unpack(form, self.take(struct.calcsize(form)))[0]

  def line(self) -> str:
    """The text up to the next newline."""
    window = bytes(self.data[self.position : self.position + _MAX_LINE + 1])
    length = window.find(b"\n")
    if length < 0:
      raise self.broken("names something without an end")
    self.position += length + 1
    return self.text(window[:length])

  def text(self, data: memoryview | bytes) -> str:
    """`data` as UTF-8."""
    try:
      return str(data, "utf-8")
    except UnicodeDecodeError as error:
      raise self.broken("has a string that is not UTF-8") from error
