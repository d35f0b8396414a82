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


def write_weights(path: Path, network: Network, arrays: Mapping[str, np.ndarray]) -> None:
  """The inverse of `read_weights`; of no images seen.

  Raises:
    UserError: the system refuses.
  """
  make_directory(path.parent)
  with atomic_file(path) as file:
    file.write(NEW_HEADER)
    for convolution in network.convolutions:
      for name, _ in _arrays(convolution):
        file.write(arrays[name].astype("<f4").tobytes())


def _arrays(convolution: Convolution) -> Iterator[tuple[str, tuple[int, ...]]]:
  parts = ("biases", "scales", "mean", "variance") if convolution.normalized else ("biases",)
  for part in parts:
    yield f"{convolution.section}.{part}", convolution.kernel[:1]
  yield f"{convolution.section}.weights", convolution.kernel
