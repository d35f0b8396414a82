"""Damaged and lying files of every format: each is refused in one line that says what is wrong."""

import collections
import io
import json
import os
import pickle
import pickletools
import struct
import zipfile

import numpy as np
import pytest
import torch

from official.checkpoints import zip_index
from official.checkpoints.formats import open_checkpoint
from official.checkpoints.problems import shown
from official.cli.errors import UserError
from tests.official.checkpoints.pickled import program, tensor, text, torch_zip, zipped

GOOD = torch_zip(program(tensor()))
END = struct.Struct("<4s4H2LH")


def refused(path, message):
  with pytest.raises(UserError) as caught:
    open_checkpoint(path)
  assert message in str(caught.value)
  assert str(caught.value).startswith(f"cannot read {path}: ")
  assert str(caught.value).isprintable()


def changed(data, old, new, count=1):
  assert data.count(old) >= 1
  return data.replace(old, new, count)


def with_end(**changes):
  """The good zip with other fields in its end."""
  fields = dict(
    zip(
      ("mark", "disk", "first", "here", "count", "size", "start", "comment"),
      END.unpack(GOOD[-END.size :]),
      strict=True,
    )
  )
  return GOOD[: -END.size] + END.pack(*(fields | changes).values())


def in_directory(offset, form, value, name=b"archive/data/0"):
  """The good zip with another number in the directory's entry of `name`."""
  at = GOOD.rindex(name) - 46 + offset
  return GOOD[:at] + struct.pack(form, value) + GOOD[at + struct.calcsize(form) :]


def entry_start(name):
  with zipfile.ZipFile(io.BytesIO(GOOD)) as archive:
    return archive.getinfo(name).header_offset


def doubled():
  once = zipped({"archive/data.pkl": program(tensor()), "archive/data.pkk": b""})
  return changed(once, b"data.pkk", b"data.pkl", 2)


ZIPS = {
  "cut in the middle": (lambda: GOOD[: len(GOOD) // 2], "a zip file without its end"),
  "only a beginning": (lambda: GOOD[:40], "a zip file without its end"),
  "only a signature": (lambda: GOOD[:4], "a zip file without its end"),
  "something after its end": (lambda: GOOD + b"\0", "a zip file without its end"),
  "something before its beginning": (lambda: b"PK\3\4" + GOOD, "directory is not where the end"),
  "directory elsewhere": (lambda: with_end(start=40), "directory is not where the end"),
  "directory of another size": (lambda: with_end(size=7), "directory is not where the end"),
  "two disks": (lambda: with_end(disk=1), "directory is not where the end"),
  "entries elsewhere": (lambda: with_end(here=1), "directory is not where the end"),
  "one entry fewer": (lambda: with_end(here=2, count=2), "directory has a wrong length"),
  "one entry more": (lambda: with_end(here=4, count=4), "directory is cut short"),
  "a locator to nowhere": (
    lambda: GOOD[: -END.size] + struct.pack("<4sLQL", b"PK\6\7", 0, 5, 1) + GOOD[-END.size :],
    "locator points nowhere",
  ),
  "a locator beyond the file": (
    lambda: GOOD[: -END.size] + struct.pack("<4sLQL", b"PK\6\7", 0, 1 << 60, 1) + GOOD[-END.size :],
    "end is cut short",
  ),
  "a damaged directory": (lambda: changed(GOOD, b"PK\1\2", b"PK\1\3"), "directory is damaged"),
  "an entry that starts nowhere": (lambda: in_directory(42, "<L", 5), "differs from the directory"),
  "an entry beyond the file": (lambda: in_directory(42, "<L", 1 << 31), "entry is cut short"),
  "a longer name than the directory": (lambda: in_directory(28, "<H", 60_000), "is cut short"),
  "a size beyond the file": (
    lambda: in_directory(20, "<Q", (1 << 30) * ((1 << 32) + 1)),
    "'archive/data/0' in it is cut short",
  ),
  "another name in the entry": (
    lambda: changed(GOOD, b"archive/data/0", b"archive/data/1"),
    "entry of 'archive/data/0' differs from the directory",
  ),
  "overlapping entries": (
    lambda: in_directory(42, "<L", entry_start("archive/data.pkl"), b"archive/byteorder"),
    "entry of 'archive/byteorder' differs",
  ),
  "a name that leaves": (
    lambda: torch_zip(program(tensor()), extra={"archive/../../../etc/cron.d/x": b""}),
    "names 'archive/../../../etc/cron.d/x', outside the archive",
  ),
  "an absolute name": (
    lambda: torch_zip(program(tensor()), extra={"/etc/passwd": b""}),
    "names '/etc/passwd', outside the archive",
  ),
  "a name of Windows": (
    lambda: torch_zip(program(tensor()), extra={"C:\\x": b""}),
    "outside the archive",
  ),
  "a name with a zero": (
    lambda: changed(
      torch_zip(program(tensor()), extra={"archive/xx": b""}), b"archive/xx", b"archive\0xx", 2
    ),
    "outside the archive",
  ),
  "a name that is not UTF-8": (
    lambda: changed(
      torch_zip(program(tensor()), extra={"archive/xx": b""}), b"archive/xx", b"archive/\xff\xfe", 2
    ),
    "a name in its zip directory is not UTF-8",
  ),
  "two entries of one name": (doubled, "has 'archive/data.pkl' twice"),
  "two pickles": (
    lambda: torch_zip(program(tensor()), extra={"other/data.pkl": b""}),
    "not of torch (no single data.pkl)",
  ),
  "a pickle too deep": (
    lambda: zipped({"a/b/data.pkl": program(tensor())}),
    "not of torch (no single data.pkl)",
  ),
  "no pickle": (lambda: zipped({"a/b": b""}), "not of torch (no single data.pkl)"),
  "a zip of numpy": (lambda: npz(), "not of torch (no single data.pkl)"),
  "an empty zip of one file": (lambda: zipped({"archive/data.pkl": b""}), "is cut short"),
  "a zip bomb": (
    lambda: zipped({"archive/data.pkl": bytes(10_000_000)}, zipfile.ZIP_DEFLATED),
    "'data.pkl' in it is compressed or encrypted",
  ),
  "a compressed storage": (
    lambda: in_directory(10, "<H", 8),
    "'data/0' in it is compressed or encrypted",
  ),
  "a storage that says to be larger when unpacked": (
    lambda: in_directory(24, "<L", 1 << 30),
    "'data/0' in it is compressed or encrypted",
  ),
  "an encrypted storage": (
    lambda: in_directory(8, "<H", 1),
    "'data/0' in it is compressed or encrypted",
  ),
  "compressed only in the entry": (
    lambda: (
      GOOD[: entry_start("archive/data/0") + 8]
      + b"\x08"
      + GOOD[entry_start("archive/data/0") + 9 :]
    ),
    "entry of 'archive/data/0' differs from the directory",
  ),
  "more after the pickle": (
    lambda: torch_zip(program(tensor()) + program(text("more"))),
    "there is more after its pickle",
  ),
  "an unknown byte order": (
    lambda: zipped({"archive/data.pkl": program(tensor()), "archive/byteorder": b"middle"}),
    "byte order is neither little nor big",
  ),
  "another checksum of the pickle": (
    lambda: in_directory(16, "<L", 7, b"archive/data.pkl"),
    "'data.pkl' in it is damaged: its checksum differs",
  ),
}


def npz():
  file = io.BytesIO()
  np.savez_compressed(file, a=np.zeros(100))
  return file.getvalue()


@pytest.mark.parametrize("case", ZIPS)
def test_zip(tmp_path, case):
  make, message = ZIPS[case]
  path = tmp_path / "a.pt"
  path.write_bytes(make())
  refused(path, message)


def test_zip_with_overlapping_entries(tmp_path):
  """The content of one entry holds a whole other entry, which the directory lists too."""
  inner = zipped({"archive/data/9": bytes(8)})
  outer = torch_zip(program(tensor()), {"0": bytes(16), "big": inner + bytes(60)})
  start = outer.index(inner)
  record = inner[inner.index(b"PK\1\2") : inner.index(b"PK\5\6")]
  record = record[:42] + struct.pack("<L", start) + record[46:]
  body, end = outer[: -END.size], END.unpack(outer[-END.size :])
  end = (*end[:3], end[3] + 1, end[4] + 1, end[5] + len(record), *end[6:])
  path = tmp_path / "a.pt"
  path.write_bytes(body + record + END.pack(*end))
  refused(path, "entries of its zip overlap")


def test_zip_with_too_many_entries(tmp_path, monkeypatch):
  monkeypatch.setattr(zip_index, "MAX_ENTRIES", 2)
  path = tmp_path / "a.pt"
  path.write_bytes(GOOD)
  refused(path, "its zip directory has 3 entries")


def test_the_good_zip_is_good(tmp_path, monkeypatch):
  path = tmp_path / "a.pt"
  path.write_bytes(GOOD)
  assert open_checkpoint(path).arrays["array"].read().tolist() == [0] * 4
  # As files of over 4 GiB are written: with 64-bit numbers everywhere.
  monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
  monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
  path.write_bytes(torch_zip(program(tensor())))
  assert b"PK\6\6" in path.read_bytes()
  assert open_checkpoint(path).arrays["array"].read().tolist() == [0] * 4


def test_what_files_say_is_shown_in_one_short_line():
  assert shown("a\n\x1b[2J") == "'a\\n\\x1b[2J'"
  assert shown("é" * 1000, 20) == "'" + "\\xe9" * 4 + "\\x…"
  assert shown((1, 2)) == "(1, 2)"


def legacy(value=None):
  file = io.BytesIO()
  value = {"a": torch.arange(4.0)} if value is None else value
  torch.save(value, file, _use_new_zipfile_serialization=False)
  return file.getvalue()


def relisted(data, change):
  """`data` with its list of storages, the fifth pickle, changed."""
  stream = io.BytesIO(data)
  for _ in range(4):
    collections.deque(pickletools.genops(stream), maxlen=0)
  start = stream.tell()
  keys = pickle.load(stream)
  return data[:start] + pickle.dumps(change(keys), 2) + data[stream.tell() :]


def stated_twice():
  """Two views of one storage, which the second says to be smaller."""
  base = torch.arange(4.0)
  data = legacy([base, base[1:3]])
  last = data.rindex(b"K\x04N")
  return data[:last] + b"K\x03N" + data[last + 3 :]


LEGACY = {
  "cut in its last storage": (lambda: legacy()[:-3], "it is 3 bytes too short"),
  "cut before its storages": (lambda: legacy()[:-24], "is not as its pickle says"),
  "too long": (lambda: legacy() + b"ab", "it is 2 bytes too long"),
  "another count": (
    lambda: legacy()[:-24] + struct.pack("<q", 3) + legacy()[-16:],
    "is not as its pickle says",
  ),
  "another version": (
    lambda: changed(legacy(), b"\x80\x02M\xe9\x03.", b"\x80\x02M\xea\x03."),
    "no torch file of version 1001",
  ),
  "of a big-endian machine": (
    lambda: changed(legacy(), b"little_endianq\x02\x88", b"little_endianq\x02\x89"),
    "saved on a big-endian machine",
  ),
  "a list of storages that is a text": (
    lambda: relisted(legacy(), str),
    "list of storages is damaged",
  ),
  "a list of storages of numbers": (
    lambda: relisted(legacy(), lambda keys: [int(key) for key in keys]),
    "list of storages is damaged",
  ),
  "a storage listed twice": (
    lambda: relisted(legacy(), lambda keys: keys * 2) + legacy()[-24:],
    "is not as its pickle says",
  ),
  "a storage that nobody uses": (
    lambda: relisted(legacy(), lambda keys: [*keys, "7"]) + legacy()[-24:],
    "storage '7' is not as its pickle says",
  ),
  "a storage that is not listed": (
    lambda: relisted(legacy([torch.ones(1), torch.ones(1)]), lambda keys: keys[:1])[:-12],
    "is missing in it",
  ),
  "a storage of two sizes": (
    stated_twice,
    "in two ways",
  ),
  "only its magic": (lambda: legacy()[:20], "is cut short"),
  "a tar of torch 0.1": (
    lambda: b"sys_info".ljust(257, b"\0") + b"ustar".ljust(255, b"\0"),
    "it is a tar file, as torch wrote before version 0.1.10; load it with torch 1.x",
  ),
}


@pytest.mark.parametrize("case", LEGACY)
def test_legacy(tmp_path, case):
  make, message = LEGACY[case]
  path = tmp_path / "a.pt"
  path.write_bytes(make())
  refused(path, message)


def tensors(header, content=bytes(16)):
  raw = header if isinstance(header, bytes) else json.dumps(header).encode()
  return struct.pack("<Q", len(raw)) + raw + content


def one(dtype="F32", shape=(4,), offsets=(0, 16)):
  return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


SAFETENSORS = {
  "cut short": (tensors({"a": one()})[:-1], "cannot be in bytes 0 to 16"),
  "a header of 26 MB": (
    struct.pack("<Q", 26_000_000) + b"{}" + bytes(16),
    "its header of 26,000,000 bytes is larger than any",
  ),
  "cut in its header": (tensors({"a": one()})[:30], "header is cut short"),
  "a header that is no JSON": (tensors(b"{nope}"), "header is no JSON"),
  "a header that is not UTF-8": (tensors(b"{\xff}"), "header is no JSON"),
  "a header nested deep": (tensors(b'{"a":' + b"[" * 100_000), "header is no JSON"),
  "a header with a long number": (tensors(b'{"a":' + b"9" * 5000 + b"}"), "header is no JSON"),
  "one name twice": (
    tensors(b'{"a":' + json.dumps(one()).encode() + b',"a":' + json.dumps(one()).encode() + b"}"),
    "header has a name twice",
  ),
  "one key twice": (tensors(b'{"a":{"dtype":"F32","dtype":"F16"}}'), "header has a name twice"),
  "without offsets": (tensors({"a": {"dtype": "F32", "shape": []}}), "describes 'a' incompletely"),
  "a list for an array": (tensors({"a": []}), "describes 'a' incompletely"),
  "an offset of text": (tensors({"a": one(offsets=("0", 16))}), "describes 'a' incompletely"),
  "an unknown type": (tensors({"a": one("F4")}), "'a' is of type 'F4'"),
  "a negative shape": (tensors({"a": one(shape=(-2, -2))}), "'a' has the shape [-2, -2]"),
  "a true shape": (tensors({"a": one(shape=(4, True))}), "'a' has the shape [4, True]"),
  "forty dimensions": (tensors({"a": one(shape=(1,) * 40)}), "'a' has the shape [1, 1"),
  "another shape": (tensors({"a": one(shape=(5,))}), "cannot be in bytes 0 to 16"),
  "a huge shape": (tensors({"a": one(shape=(1 << 62, 1 << 62))}), "'a' has the shape [46116"),
  "an empty huge shape": (
    tensors({"a": one(shape=(0, 1 << 62), offsets=(0, 0))}, b""),
    "'a' has the shape [0, 46116",
  ),
  "a negative offset": (tensors({"a": one(offsets=(-16, 0))}), "cannot be in bytes -16 to 0"),
  "offsets in reverse": (tensors({"a": one(offsets=(16, 0))}), "cannot be in bytes 16 to 0"),
  "an offset beyond": (tensors({"a": one(offsets=(16, 32))}), "cannot be in bytes 16 to 32"),
  "overlapping arrays": (tensors({"a": one(), "b": one(offsets=(0, 16))}), "arrays overlap"),
  "a gap": (tensors({"a": one(shape=(2,), offsets=(8, 16))}), "arrays leave a gap"),
  "more than its arrays": (tensors({"a": one()}, bytes(20)), "4 bytes longer than its header says"),
  "metadata of numbers": (tensors({"__metadata__": {"a": 1}}, b""), "metadata of its header"),
  "metadata that is a list": (tensors({"__metadata__": []}, b""), "metadata of its header"),
  "a name of an escape": (tensors({"\x1b[2J": one("F4")}), "'\\x1b[2J' is of type 'F4'"),
}


@pytest.mark.parametrize("case", SAFETENSORS)
def test_safetensors(tmp_path, case):
  data, message = SAFETENSORS[case]
  path = tmp_path / "a.safetensors"
  path.write_bytes(data)
  refused(path, message)


OTHERS = {
  "a length of 5 GB": (struct.pack("<Q", 5 << 30) + b"{}" + bytes(16), "no known format"),
  "nothing": (b"", "it is empty"),
  "text": (b"hello, world, this is no checkpoint", "it is of no known format"),
  "zeros": (bytes(64), "it is of no known format"),
  "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(64), "it is an HDF5 file, such as Keras writes"),
  "a numpy array": (b"\x93NUMPY" + bytes(64), "it is a single numpy array"),
  "a web page": (b"<!DOCTYPE html>" + bytes(64), "it is a web page"),
  "gzip": (b"\x1f\x8b" + bytes(64), "it is compressed with gzip"),
  "a pointer of Git LFS": (b"version https://git-lfs.github.com/spec/v1", "pointer of a file"),
  "a pickle and more": (program(text("a")) + b"more", "there is more after its pickle"),
  "half a pickle": (program(text("abc"))[:-4], "is cut short"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_others(tmp_path, case):
  data, message = OTHERS[case]
  path = tmp_path / "a.weights"
  path.write_bytes(data)
  refused(path, message)


def test_what_is_no_file(tmp_path):
  refused(tmp_path / "missing.pt", "No such file or directory; check the path")
  refused(tmp_path, "it is a folder without a TensorFlow checkpoint")
  with pytest.raises(UserError, match="null byte; check the path"):
    open_checkpoint("a\0b")
  os.mkfifo(tmp_path / "pipe")
  refused(tmp_path / "pipe", "it is no regular file")
