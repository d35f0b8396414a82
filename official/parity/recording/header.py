"""The header of a recording: where it comes from, and what is in it."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Self

from official.parity.recording.tiers import Tier


@dataclasses.dataclass(frozen=True)
class TapInfo:
  """One output of one call of a module, in one phase.

  Attributes:
    name: as `keys.tap_name` makes it.
    path: of the module; empty for the whole network.
    call: which of the module's calls in the pass, from 0.
    leaf: which output: keys and indices joined by "."; empty where there is one only.
    layer: class name of the module.
    parent: name of the call (`keys.tap_name` without a leaf) that made this call; empty outside.
    order: position in execution, by the end of the call: children come before their parents.
    shape: of the output, in the side's own layout.
    dtype: of the output, as numpy names it.
    inputs: names of the taps whose outputs the call was given as they were.
    config: attributes of the module that are plain values (epsilon, padding, …).
  """

  name: str
  path: str
  call: int
  leaf: str
  layer: str
  parent: str
  order: int
  shape: tuple[int, ...]
  dtype: str
  inputs: tuple[str, ...] = ()
  config: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Header:
  """Where a recording comes from.

  Attributes:
    side: "reference" or "candidate".
    framework: "torch" or "tensorflow".
    versions: of the libraries, by name.
    precision: one of `case.PRECISIONS`.
    seed: of weights and batch.
    case: the case's name.
  """

  side: str
  framework: str
  versions: Mapping[str, str]
  precision: str
  seed: int
  case: str = ""


@dataclasses.dataclass(frozen=True)
class Entry:
  """One array of a recording.

  Attributes:
    form: how much of it is kept.
    dtype: of the array itself, as numpy names it.
    shape: of the array itself.
    crc: CRC32C of the bytes kept.
    same_as: key of the array that has the same bytes; they are in the file once, under that.
  """

  form: Tier
  dtype: str
  shape: tuple[int, ...]
  crc: int = 0
  same_as: str = ""


@dataclasses.dataclass
class Contents:
  """Everything in a recording but the arrays' bytes.

  Attributes:
    header: where it comes from.
    tier: how much is kept of activations and gradients.
    entries: the arrays, by key.
    taps: by phase, in execution order.
    absent: keys that have no array, with the reason ("frozen", "unused").
    notes: what was found out on the way: "determinism", "unused_modules", ….
    hashes: SHA-256 of "parameters" (with buffers) and "batch": of names, dtypes, shapes and bytes.
  """

  header: Header
  tier: Tier
  entries: dict[str, Entry] = dataclasses.field(default_factory=dict)
  taps: dict[str, list[TapInfo]] = dataclasses.field(default_factory=dict)
  absent: dict[str, str] = dataclasses.field(default_factory=dict)
  notes: dict[str, Any] = dataclasses.field(default_factory=dict)
  hashes: dict[str, str] = dataclasses.field(default_factory=dict)

  def to_json(self) -> str:
    """One line of JSON, keys sorted within objects."""
    return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

  @classmethod
  def from_json(cls, text: str) -> Self:
    """The inverse of `to_json`; raises TypeError, KeyError or ValueError where it is none."""
    plain = json.loads(text)
    return cls(
      header=Header(**plain["header"]),
      tier=Tier(plain["tier"]),
      entries={
        name: Entry(**e | {"form": Tier(e["form"]), "shape": tuple(e["shape"])})
        for name, e in plain["entries"].items()
      },
      taps={phase: [_tap(tap) for tap in taps] for phase, taps in plain["taps"].items()},
      absent=plain["absent"],
      notes=plain["notes"],
      hashes=plain["hashes"],
    )


def _tap(plain: dict[str, Any]) -> TapInfo:
  return TapInfo(**plain | {"shape": tuple(plain["shape"]), "inputs": tuple(plain["inputs"])})
