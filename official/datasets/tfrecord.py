"""TFRecord files of `tf.train.Example`, written without TensorFlow.

The framing is TFRecord's: length (uint64), its masked CRC-32C, the data, its masked CRC-32C, all
little-endian. The data is the protocol buffer wire format of tensorflow/core/example/example.proto.
"""

import struct
from collections.abc import Mapping

import google_crc32c
import numpy as np

Feature = list[bytes] | np.ndarray

_LENGTH_DELIMITED = 2
_KINDS = {"f": 2, "i": 3}  # Fields of tf.train.Feature: float_list, int64_list; bytes_list is 1.


def frame(data: bytes) -> bytes:
  """One TFRecord record holding `data`."""
  length = struct.pack("<Q", len(data))
  return b"".join(
    (length, struct.pack("<I", masked_crc(length)), data, struct.pack("<I", masked_crc(data)))
  )


def masked_crc(data: bytes) -> int:
  """TFRecord's checksum of `data`: CRC-32C, rotated right by 15 bits, plus a constant (uint32)."""
  crc = google_crc32c.value(data)
  return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def encode_example(features: Mapping[str, Feature]) -> bytes:
  """A serialized `tf.train.Example`.

  Args:
    features: a list of bytes, or a 1-D array of a float type (written as float32) or of an integer
      type (written as int64), by name. The names are written in sorted order.
  """
  entries = (
    _field(1, _field(1, name.encode()) + _field(2, _encode_feature(features[name])))
    for name in sorted(features)
  )
  return _field(1, b"".join(entries))


def _encode_feature(values: Feature) -> bytes:
  if isinstance(values, list):
    return _field(1, b"".join(_field(1, value) for value in values))
  if values.dtype.kind == "f":
    packed = values.astype("<f4").tobytes()
  else:
    packed = b"".join(_varint(value & (1 << 64) - 1) for value in values.tolist())
  return _field(_KINDS[values.dtype.kind], _field(1, packed))


def _field(number: int, data: bytes) -> bytes:
  return b"".join((_varint(number << 3 | _LENGTH_DELIMITED), _varint(len(data)), data))


def _varint(value: int) -> bytes:
  if value < 0x80:
    return bytes((value,))
  out = bytearray()
  while value >= 0x80:
    out.append(value & 0x7F | 0x80)
    value >>= 7
  out.append(value)
  return bytes(out)
