"""Which numbers of a `.weights` file are which array of which section.

Section by section: a convolution's biases, with batch normalization its scales, means and
variances, then its kernel as [filters, channels / groups, height, width]; in normalized sections
the biases are the normalization's.
"""

from collections.abc import Iterator
from pathlib import Path

from official.checkpoints.arrays import LazyArray
from official.checkpoints.darknet import Cursor
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


def _arrays(convolution: Convolution) -> Iterator[tuple[str, tuple[int, ...]]]:
  parts = ("biases", "scales", "mean", "variance") if convolution.normalized else ("biases",)
  for part in parts:
    yield f"{convolution.section}.{part}", convolution.kernel[:1]
  yield f"{convolution.section}.weights", convolution.kernel
