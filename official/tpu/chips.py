"""What TPU chips can do, as published, and the names of topologies made of them.

Figures of one chip, of Google's documentation (https://cloud.google.com/tpu/docs/<version>, read as
of 2025) and for v2 and v3 of Jouppi et al., A Domain-Specific Supercomputer for Training Deep
Neural Networks (CACM 63(7), 2020), table 3. Peaks are of bfloat16; float32 products run as bfloat16
at default precision.
"""

import dataclasses
import math
import re

from official.cli.errors import UserError, nearest

_GIB = 2**30
_NAME = re.compile(r"(?P<version>\w+):(?P<shape>\d+(x\d+)*)$")


@dataclasses.dataclass(frozen=True)
class Chip:
  """A kind of chip.

  Attributes:
    version: as topologies call it.
    cores: programs that run on a chip at a time, each on its share of the rest.
    peak: floating-point operations a second, in bfloat16.
    memory: bytes of HBM.
    bandwidth: bytes a second from and to HBM.
    interconnect: bytes a second to other chips, of all links together.
    matrix: rows and columns of a matrix unit.
    dimensions: of the torus, as in the topology's name.
    source: where the figures are from.
  """

  version: str
  cores: int
  peak: float
  memory: int
  bandwidth: float
  interconnect: float
  matrix: int
  dimensions: int
  source: str


_DOCS = "https://cloud.google.com/tpu/docs/"
_CACM = "Jouppi et al., CACM 63(7), 2020, table 3"
CHIPS = {
  chip.version: chip
  for chip in (
    Chip("v2", 2, 46e12, 16 * _GIB, 700e9, 4 * 62e9, 128, 2, _CACM),
    Chip("v3", 2, 123e12, 32 * _GIB, 900e9, 4 * 82e9, 128, 2, _CACM),
    Chip("v4", 1, 275e12, 32 * _GIB, 1200e9, 300e9, 128, 3, f"{_DOCS}v4"),
    Chip("v5e", 1, 197e12, 16 * _GIB, 819e9, 200e9, 128, 2, f"{_DOCS}v5e"),
    Chip("v5p", 1, 459e12, 95 * _GIB, 2765e9, 600e9, 128, 3, f"{_DOCS}v5p"),
    Chip("v6e", 1, 918e12, 32 * _GIB, 1640e9, 448e9, 256, 2, f"{_DOCS}v6e"),
  )
}


@dataclasses.dataclass(frozen=True)
class Topology:
  """Chips of one kind, joined.

  Attributes:
    name: such as `v5e:4x4`.
    chip: the kind.
    chips: how many there are.
  """

  name: str
  chip: Chip
  chips: int

  @property
  def replicas(self) -> int:
    """Programs that run in step, each on its own part of the batch."""
    return self.chips * self.chip.cores

  @property
  def memory(self) -> int:
    """Bytes of HBM that one replica has."""
    return self.chip.memory // self.chip.cores

  @property
  def peak(self) -> float:
    """Floating-point operations a second of one replica, in bfloat16."""
    return self.chip.peak / self.chip.cores

  @property
  def bandwidth(self) -> float:
    """Bytes a second from and to HBM of one replica."""
    return self.chip.bandwidth / self.chip.cores

  def summing_seconds(self, size: int) -> float:
    """What summing `size` bytes over all replicas takes at least, in a ring."""
    if self.chips == 1:
      return 0.0
    return 2 * (self.chips - 1) / self.chips * size / self.chip.interconnect


def parse(name: str) -> Topology:
  """The topology called `name`, such as `v3:2x2` or `v5p:8x8x8`.

  Raises:
    UserError: there is no such chip, or it has another number of dimensions.
  """
  match = _NAME.match(name)
  if not match:
    raise UserError(f"--topology: '{name}' is not of the form v3:2x2, v5e:4x4, v5p:8x8x8")
  version = match["version"]
  if version not in CHIPS:
    hint = nearest(version, CHIPS)
    raise UserError(f"--topology: no chip '{version}'{hint} (known: {', '.join(CHIPS)})")
  chip, sides = CHIPS[version], [int(side) for side in match["shape"].split("x")]
  if len(sides) != chip.dimensions or 0 in sides:
    example = "x".join(["2"] * chip.dimensions)
    raise UserError(f"--topology: {version} has {chip.dimensions} dimensions ({version}:{example})")
  return Topology(name, chip, math.prod(sides))
