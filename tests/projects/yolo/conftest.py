"""A small shapes data set, and what independent programs computed, for all tests of the project."""

import pathlib

import numpy as np
import pytest

from official.datasets.shapes import Shapes, make_shapes


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
  """Folder of 16 training and 6 held-out images of 64×64."""
  root = tmp_path_factory.mktemp("shapes")
  make_shapes(Shapes(root, train=16, val=6, size=64, seed=0, workers=1))
  return root


@pytest.fixture(scope="session")
def independent():
  """What Darknet and OpenCV computed, by name; see `reference/README.md`."""
  with np.load(pathlib.Path(__file__).parent / "reference" / "outputs.npz") as file:
    return dict(file)


@pytest.fixture(scope="session")
def darknet_data(shared):
  """Real networks, photographs and class names of Darknet's."""
  return shared / "data" / "darknet"
