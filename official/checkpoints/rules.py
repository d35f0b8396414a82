"""Declarative name rules: which of the original's parameters fills which variable, and how."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Rule:
  """Where one parameter, or a family of them, goes.

  Attributes:
    source: pattern of the original's names; "{name}" stands for one or more characters.
    target: the candidate's variable, by its path (`official.parity.keras_recorder`), with the same
      fields.
    transform: what happens to the array on its way: a name in `transforms.TRANSFORMS`, perhaps with
      arguments ("qkv:1/3").
  """

  source: str
  target: str
  transform: str = "identity"
