"""A small shapes data set for all tests of the project."""

import pytest

from official.datasets.shapes import Shapes, make_shapes


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
  """Folder of 16 training and 6 held-out images of 64×64."""
  root = tmp_path_factory.mktemp("shapes")
  make_shapes(Shapes(root, train=16, val=6, size=64, seed=0, workers=1))
  return root
