"""Mends damaged evidence: joins what is whole here and in git, and sets the rest aside."""

import fcntl
from pathlib import Path

from official.cli.files import make_directory, write_file
from official.workflow import history, records
from official.workflow.ledger import ASIDE, REPORTS, Ledger, locked, sha256
from official.workflow.records import Record


def mend(ledger: Ledger) -> list[str]:
  """Writes a ledger of all whole records, of git's HEAD and of the folder, in order of their time.

  Reports that are gone or changed are taken from git. A record whose reports are nowhere leaves the
  ledger: its gate has to be run again. Everything that is replaced or left over goes to `aside/`,
  under a name of its own.

  Returns:
    what was done, a line each.

  Raises:
    UserError: when the system refuses to write.
  """
  make_directory(ledger.folder)
  with locked(ledger.folder, fcntl.LOCK_EX):
    rows = _rows(ledger)
    done = [*_keep(ledger, ledger.path)]
    done += [line for row in rows for line in _restore(ledger, row)]
    whole = [row for row in rows if _is_whole(ledger, row)]
    done += [f"left out: {row.gate}, {row.at}: no report" for row in rows if row not in whole]
    done += _clear(ledger, whole)
    ledger.write(whole)
    return [*done, f"the ledger has {len(whole)} records"]


def _rows(ledger: Ledger) -> list[Record]:
  """The records of git and of the folder, each once."""
  texts = [history.committed(ledger.path) or b""]
  texts += [ledger.path.read_bytes()] if ledger.path.is_file() else []
  parsed = [row for text in texts for row in records.parse(text, ledger.project).records]
  rows = {records.digest(row): row for row in parsed if row.project == ledger.project}
  return sorted(rows.values(), key=lambda row: (row.at, sorted(row.files)))


def _restore(ledger: Ledger, row: Record) -> list[str]:
  """Takes from git the reports of `row` that are gone or changed, where it has them."""
  done = []
  for name, then in row.files.items():
    path = ledger.folder / name
    old = history.committed(path)
    if _matches(path, then) or old is None or sha256(old) != then:
      continue
    done += [*_keep(ledger, path), f"restored {name} from git"]
    write_file(path, old)
  return done


def _clear(ledger: Ledger, rows: list[Record]) -> list[str]:
  """Moves reports of no record aside."""
  known = {name for row in rows for name in row.files}
  done = []
  for path in sorted((ledger.folder / REPORTS).glob("*")):
    if f"{REPORTS}/{path.name}" not in known:
      done += _keep(ledger, path)
      path.unlink()
  return done


def _keep(ledger: Ledger, path: Path) -> list[str]:
  """Copies `path` aside, under a name that says what is in it."""
  if not path.is_file():
    return []
  data = path.read_bytes()
  place = ledger.folder / ASIDE / f"{sha256(data)[:12]}-{path.name}"
  write_file(place, data)
  return [f"kept {path.name} as {ASIDE}/{place.name}"]


def _is_whole(ledger: Ledger, row: Record) -> bool:
  return all(_matches(ledger.folder / name, then) for name, then in row.files.items())


def _matches(path: Path, then: str) -> bool:
  return path.is_file() and sha256(path.read_bytes()) == then
