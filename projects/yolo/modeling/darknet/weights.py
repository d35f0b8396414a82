"""Which numbers of a `.weights` file are which array of which section.

Section by section: a convolution's biases, with batch normalization its scales, means and
variances, then its kernel as [filters, channels / groups, height, width]; in normalized sections
the biases are the normalization's.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from official.checkpoints.arrays import LazyArray
from official.checkpoints.darknet import NEW_HEADER, Cursor
from official.cli.files import atomic_file, make_directory
from projects.yolo.modeling.darknet.draft import Convolution
from projects.yolo.modeling.darknet.network import Network


def read_weights(path: str | Path, network: Network) -> dict[str, LazyArray]:
  """Every array of the file: "0.biases", "0.scales", "0.mean", "0.variance", "0.weights", ….

  Raises:
    UserError: it is no such file, or holds fewer or more numbers than `network` needs.
  """
  cursor = Cursor(Path(path))
  arrays = {
    name: cursor.take(shape, name)
    for convolution in network.convolutions
    for name, shape in _arrays(convolution)
  }
  cursor.finish()
  return arrays


def read_start(path: str | Path) -> bytes:
  """The header of a file of weights as it stands there: version, and images seen.

  Raises:
    UserError: it is no such file.
  """
  size = Cursor(Path(path)).header.size
  with Path(path).open("rb") as file:
    return file.read(size)


def write_weights(
  path: Path, network: Network, arrays: Mapping[str, np.ndarray], start: bytes = NEW_HEADER
) -> None:
  """The inverse of `read_weights`, behind the header `start`: by default, of no images seen.

  Raises:
    UserError: the system refuses.
  """
  make_directory(path.parent)
  with atomic_file(path) as file:
    file.write(start)
    for convolution in network.convolutions:
      for name, _ in _arrays(convolution):
        file.write(arrays[name].astype("<f4").tobytes())


def _arrays(convolution: Convolution) -> Iterator[tuple[str, tuple[int, ...]]]:
  parts = ("biases", "scales", "mean", "variance") if convolution.normalized else ("biases",)
  for part in parts:
    yield f"{convolution.section}.{part}", convolution.kernel[:1]
  yield f"{convolution.section}.weights", convolution.kernel
