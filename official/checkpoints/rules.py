"""Declarative name rules: which of the original's parameters fills which variable, and how."""

import dataclasses

from official.cli.errors import UserError


@dataclasses.dataclass(frozen=True)
class Rule:
  """Where one parameter, or a family of them, goes.

  Attributes:
    source: pattern of the original's names (see `patterns`).
    target: the candidate's variable, by its path (`official.parity.keras_recorder`), with the same
      fields.
    transform: what happens to the array on its way (see `transforms`): "conv", "linear",
      "qkv:1/3|linear|heads_out:8". Empty: copied as it is, which is refused where the shape alone
      would also allow a transposition; write "identity" there.
  """

  source: str
  target: str
  transform: str = ""


@dataclasses.dataclass(frozen=True)
class Ignore:
  """A parameter of the original, or a family of them, that the candidate rightly lacks.

  Attributes:
    pattern: of the original's names (see `patterns`).
    reason: a sentence.

  Raises:
    UserError: there is no reason.
  """

  pattern: str
  reason: str

  def __post_init__(self) -> None:
    if not self.reason.strip():
      raise UserError(f"Ignore('{self.pattern}') needs a reason: say why nothing is lost")
