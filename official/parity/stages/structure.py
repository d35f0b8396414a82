"""The first stage: hyper-parameters, weights and names, before any tensor is compared."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from official.checkpoints.transfer import Plan, TransferError
from official.parity.comparing import verdict
from official.parity.comparing.correspondence import PASSES, Correspondence
from official.parity.comparing.excuses import Excuses
from official.parity.comparing.matcher import Matcher
from official.parity.comparing.matches import owner
from official.parity.keys import Key
from official.parity.recording.reader import Recording
from official.parity.result import Finding, Status

STAGE = "structure"
_MISSING = "—"

Rows = list[tuple[str, Any, Any]]


def settings_rows(original: Mapping[str, Any], candidate: Mapping[str, Any]) -> Rows:
  """(name, the original's, the candidate's) of settings that differ or that one side lacks."""
  names = dict.fromkeys([*original, *candidate])
  rows = ((name, original.get(name, _MISSING), candidate.get(name, _MISSING)) for name in names)
  return [row for row in rows if not _equal(row[1], row[2])]


def settings(rows: Rows, excuses: Excuses) -> list[Finding]:
  """A finding on each setting that differs."""
  findings = []
  for order, (name, original, candidate) in enumerate(rows):
    status = Status.UNPAIRED if _MISSING in (original, candidate) else Status.DIFFERENT
    reason = f"{candidate}, in the original {original}"
    if excuse := excuses.reason("setting", name):
      status, reason = Status.EXCUSED, excuse
    findings.append(_finding("setting", "init", name, order, status, reason, name))
  return findings


def untransferred(error: TransferError) -> list[Finding]:
  """A finding on each weight that does not transfer."""
  return [
    _finding("parameter", "init", f"weight {order + 1}", order, Status.UNPAIRED, problem)
    for order, problem in enumerate(error.problems)
  ]


def weights(
  plan: Plan, original: Recording, candidate: Recording, matcher: Matcher
) -> Iterator[Finding]:
  """Whether each variable holds the original's values, in the kind of place it should."""
  arrays = original.section("init", "parameter") | original.section("init", "buffer")
  transferred = plan.forward(arrays)
  for order, (name, sources) in enumerate(plan.pairs.items()):
    section = "parameter" if Key("init", "parameter", name) in candidate else "buffer"
    held = candidate.read(Key("init", section, name))
    kinds = {"parameter" if Key("init", "parameter", s) in original else "buffer" for s in sources}
    status, reason = Status.SAME, ""
    if kinds != {section}:
      status = Status.DIFFERENT
      reason = f"is a {section}, in the original a {' and a '.join(sorted(kinds))}"
    elif not np.array_equal(held, transferred[name].astype(held.dtype)):
      status, reason = Status.DIFFERENT, "does not keep what it is set to"
    layer = matcher.layers.get(owner(name), "")
    yield _finding(section, "init", name, order, status, reason, ", ".join(sources), layer)


def coverage(
  correspondence: Correspondence, excuses: Excuses, matcher: Matcher
) -> Iterator[Finding]:
  """Taps of either side that have no pair, and rules that pair nothing in any pass.

  Where one of the passes was not recorded, rules may be for that one.
  """
  told: set[tuple[str, str]] = set()
  for phase, pairing in correspondence.pairings.items():
    taps = matcher.taps(phase)
    for name, reason in pairing.candidate_only.items():
      if ("candidate", name) not in told:
        tap = taps[name]
        yield _alone(excuses, phase, name, tap.order, reason, layer=tap.layer)
    for name, reason in pairing.reference_only.items():
      if ("reference", name) not in told:
        yield _alone(excuses, phase, name, len(taps), reason, reference=name)
    told |= {("candidate", name) for name in pairing.candidate_only}
    told |= {("reference", name) for name in pairing.reference_only}
  stale = [set(pairing.stale) for pairing in correspondence.pairings.values()]
  for rule in set.intersection(*stale) if len(stale) == len(PASSES) else ():
    reason = f"the rule '{rule.reference}' → '{rule.candidate}' matches no tap: remove or mend it"
    yield _finding("rule", "init", rule.reference, 0, Status.UNPAIRED, reason)


def stale_excuses(excuses: Excuses) -> list[Finding]:
  """A finding on each excuse that excused nothing in a run of all stages."""
  return [
    _finding(
      *("excuse", "init", excuse.pattern, order, Status.UNPAIRED),
      "the excuse matches nothing that was compared: remove or mend it",
    )
    for order, excuse in enumerate(excuses.stale())
  ]


def _alone(
  excuses: Excuses,
  phase: str,
  name: str,
  order: int,
  reason: str,
  reference: str = "",
  layer: str = "",
) -> Finding:
  excuse = excuses.reason("output", name)
  status = Status.EXCUSED if excuse else Status.UNPAIRED
  return _finding("output", phase, name, order, status, excuse or reason, reference, layer)


def _finding(
  section: str,
  phase: str,
  name: str,
  order: int,
  status: Status,
  reason: str,
  reference: str = "",
  layer: str = "",
) -> Finding:
  error = 0.0 if status.passes else np.inf
  return Finding(
    *(STAGE, section, phase, name, reference, order, layer, status, error, 0.0, 0.0), reason=reason
  )


def _equal(one: Any, other: Any) -> bool:
  """Whether two settings say the same; numbers by value."""
  if isinstance(one, float | int) and isinstance(other, float | int):
    return bool(one == other) or abs(one - other) <= verdict.RELATIVE * abs(one)
  if isinstance(one, list | tuple) and isinstance(other, list | tuple):
    return len(one) == len(other) and all(map(_equal, one, other))
  return type(one) is type(other) and one == other
