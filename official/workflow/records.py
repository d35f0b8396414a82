"""A record of a run, and the text of a ledger of such records.

A ledger is JSON lines: one for each record, with the record's own digest and the chain's so far,
and a last one, the seal, with how many there are and the chain's end. A changed record does not
have its digest, one that was taken out or put in breaks the chain, and a ledger that was cut off
has no seal, or not its own. Someone who computes all of it anew is found by comparing with what
git holds (`history`), and by running the gate again; no file can guard itself.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

PASSED, FAILED = "passed", "failed"


@dataclasses.dataclass(frozen=True)
class Record:
  """What a run of a gate's command gave.

  Attributes:
    project: whose gate.
    gate: the binding's name.
    at: when it began, in UTC: YYYY-MM-DDThh:mm:ssZ.
    command: that was run.
    declaration: digest of the binding.
    code: digest of the code that it is about.
    weights: SHA-256 of foreign weights, by path.
    data: the same of data.
    versions: of foreign packages that the code imports, and of python.
    commit: git's, with "+" where files were changed; empty where there is no git.
    result: `PASSED` or `FAILED`.
    reason: why it failed; empty where it passed.
    seconds: that it took.
    figures: out of its report.
    files: SHA-256 of the files of the run, by their path in the folder of evidence.
  """

  project: str
  gate: str
  at: str
  command: str
  declaration: str
  code: str
  weights: Mapping[str, str]
  data: Mapping[str, str]
  versions: Mapping[str, str]
  commit: str
  result: str
  reason: str
  seconds: float
  figures: Mapping[str, float]
  files: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Contents:
  """What is in the text of a ledger.

  Attributes:
    records: those that are whole: they have the digest that was written with them.
    lines: the line of each of them.
    problems: what is wrong with the text, a line each; none where it is as it was written.
  """

  records: tuple[Record, ...]
  lines: tuple[str, ...]
  problems: tuple[str, ...]


def digest(record: Record) -> str:
  """The SHA-256 of all that a record says."""
  text = json.dumps(dataclasses.asdict(record), sort_keys=True, ensure_ascii=False)
  return hashlib.sha256(text.encode()).hexdigest()


def write(records: Sequence[Record], project: str) -> bytes:
  """The ledger of `records`."""
  lines, chain = [], _link("", project)
  for record in records:
    own = digest(record)
    chain = _link(chain, own)
    lines.append({"record": dataclasses.asdict(record), "digest": own, "chain": chain})
  lines.append({"seal": {"records": len(records), "chain": chain}})
  return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines).encode()


def parse(data: bytes, project: str) -> Contents:
  """What is whole in a ledger, and what is wrong with it. Never raises."""
  lines = data.decode(errors="replace").removesuffix("\n").split("\n")
  records, kept, problems, chain = [], [], [], _link("", project)
  for number, text in enumerate(lines[:-1], 1):
    line = _object(text)
    record = _record(line.get("record"))
    if record is None or digest(record) != line.get("digest"):
      problems.append(f"line {number}: it is not as it was written")
      continue
    records.append(record)
    kept.append(text)
    chain = _link(chain, digest(record))
    if chain != line.get("chain") and not problems:
      problems.append(f"line {number}: a record was taken out or put in before it")
  seal = {"records": len(records), "chain": chain}
  if not problems and (not lines or _object(lines[-1]).get("seal") != seal):
    problems.append("its end is missing, or is not its own")
  return Contents(tuple(records), tuple(kept), tuple(problems))


def _link(chain: str, own: str) -> str:
  return hashlib.sha256(f"{chain}\n{own}".encode()).hexdigest()


def _object(text: str) -> Mapping[str, Any]:
  try:
    value = json.loads(text)
  except (ValueError, RecursionError):
    return {}
  return value if isinstance(value, dict) else {}


def _record(values: Any) -> Record | None:
  names = {field.name for field in dataclasses.fields(Record)}
  return Record(**values) if isinstance(values, dict) and set(values) == names else None
