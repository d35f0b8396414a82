"""The arrays of a blamed pair, for its pictures."""

import dataclasses

import numpy as np

from official.parity.keys import Key
from official.parity.result import Finding


@dataclasses.dataclass(frozen=True)
class BlamedArrays:
  """Both sides of one finding.

  Attributes:
    name: the finding's key, "phase/section/name"; see `finding_key`.
    reference: the original's values, in the candidate's layout (channels last).
    candidate: the candidate's values; the shape may differ from the original's.
  """

  name: str
  reference: np.ndarray
  candidate: np.ndarray


def finding_key(finding: Finding) -> str:
  """The name under which `BlamedArrays` belong to `finding`."""
  return str(Key(finding.phase, finding.section, finding.name))
