"""A project's folder of evidence: `ledger.jsonl`, and in `reports/` what each run left.

Whoever writes holds a lock on the folder, and writes whole files; whoever reads holds a shared one.
Nothing is ever written over but the ledger, which only grows.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from official.cli.errors import UserError
from official.cli.files import make_directory, write_file
from official.workflow import history, records
from official.workflow.records import Record

REPORTS, ASIDE = "reports", "aside"
CODE = "code.json"  # The end of the name of the file with the digests of a run's code.


@dataclasses.dataclass(frozen=True)
class Reading:
  """A folder of evidence as it is.

  Attributes:
    records: that are whole, in their order.
    problems: with the ledger as a whole.
    spoiled: records whose report is not what it was, and why, by their digest.
  """

  records: tuple[Record, ...]
  problems: tuple[str, ...]
  spoiled: Mapping[str, str]

  def last(self, gate: str) -> Record | None:
    """The last run of the gate `gate`."""
    return next((record for record in reversed(self.records) if record.gate == gate), None)


class Ledger:
  """The evidence of one project.

  Args:
    folder: of the evidence; it need not be there.
    project: the project's name: a ledger of another one is not taken.
  """

  def __init__(self, folder: Path, project: str) -> None:
    self.folder, self.project = folder, project
    self.path = folder / "ledger.jsonl"

  def read(self, revision: str = "HEAD") -> Reading:
    """The evidence; git's `revision` is what it may not fall behind. Changes nothing."""
    with locked(self.folder, fcntl.LOCK_SH):
      return self._read(revision)

  def append(self, record: Record, reports: Mapping[str, bytes]) -> Record:
    """Adds `record` with its reports.

    Args:
      record: of a run; its `files` are filled in.
      reports: bytes of the files that it leaves, by the ends of their names.

    Returns:
      the record as it was written.

    Raises:
      UserError: the evidence is damaged: `record` and `reports` are set aside, and nothing else is
        changed; or the system refuses to write.
    """
    make_directory(self.folder)
    with locked(self.folder, fcntl.LOCK_EX):
      reading = self._read("HEAD")
      if reading.problems:
        place = self._set_aside(record, reports)
        raise UserError(f"{self.path}: {reading.problems[0]}; the run is kept in {place}")
      stem = f"{REPORTS}/{len(reading.records) + 1:04d}-{record.gate.replace('/', '-')}"
      files = {f"{stem}.{name}": data for name, data in reports.items()}
      record = dataclasses.replace(record, files={name: sha256(files[name]) for name in files})
      for name, data in files.items():
        write_file(self.folder / name, data)
      self.write([*reading.records, record])
      return record

  def code_of(self, record: Record) -> dict[str, str]:
    """`Scope.brief` of the code of `record`, whose reports must not be spoiled."""
    name = next(name for name in record.files if name.endswith(f".{CODE}"))
    return json.loads((self.folder / name).read_bytes())

  def write(self, rows: Sequence[Record]) -> None:
    """Writes the ledger of `rows`, in one piece; for who holds the lock."""
    write_file(self.path, records.write(rows, self.project))

  def _read(self, revision: str) -> Reading:
    if not self.path.is_file():
      contents = records.Contents((), (), ())
    else:
      contents = records.parse(self.path.read_bytes(), self.project)
    lost = [self._lost(contents.records, revision), self._strangers(contents.records)]
    spoiled = {records.digest(row): why for row in contents.records if (why := self._spoiled(row))}
    return Reading(contents.records, (*contents.problems, *filter(None, lost)), spoiled)

  def _lost(self, rows: Sequence[Record], revision: str) -> str:
    """What git's revision has and the ledger has not, in words."""
    data = history.committed(self.path, revision)
    if data is None:
      return ""
    there = {records.digest(row) for row in rows}
    then = records.parse(data, self.project).records
    gone = [row for row in then if records.digest(row) not in there]
    first = f", the first of {gone[0].gate}, {gone[0].at}" if gone else ""
    return f"{len(gone)} records that {revision} has are gone{first}" if gone else ""

  def _strangers(self, rows: Sequence[Record]) -> str:
    """Reports that no record knows, in words."""
    known = {name for row in rows for name in row.files}
    found = sorted(path.name for path in (self.folder / REPORTS).glob("*"))
    strange = [name for name in found if f"{REPORTS}/{name}" not in known]
    return f"no record is of {REPORTS}/{strange[0]}: records are gone" if strange else ""

  def _spoiled(self, row: Record) -> str:
    """What is wrong with the reports of `row`, in words."""
    for name, then in row.files.items():
      path = self.folder / name
      if not path.is_file():
        return f"{name} is gone"
      if sha256(path.read_bytes()) != then:
        return f"{name} is not as it was written"
    return ""

  def _set_aside(self, record: Record, reports: Mapping[str, bytes]) -> Path:
    place = self.folder / ASIDE / f"unrecorded-{records.digest(record)[:12]}"
    write_file(place / "record.jsonl", records.write([record], self.project))
    for name, data in reports.items():
      write_file(place / name, data)
    return place


@contextlib.contextmanager
def locked(folder: Path, kind: int) -> Iterator[None]:
  """Holds a lock on `folder` itself, so that no file of it stays behind; waits for others.

  Args:
    folder: where it is missing there is nothing to hold.
    kind: `fcntl.LOCK_SH` or `fcntl.LOCK_EX`.
  """
  if not folder.is_dir():
    yield
    return
  descriptor = os.open(folder, os.O_RDONLY)
  try:
    fcntl.flock(descriptor, kind)
    yield
  finally:
    os.close(descriptor)


def sha256(data: bytes) -> str:
  """In hexadecimal."""
  return hashlib.sha256(data).hexdigest()
