"""What Darknet itself makes of the scenes of `darknet_recipe.py`."""

import pathlib

import numpy as np
import pytest


@pytest.fixture(scope="package")
def deltas():
  with np.load(pathlib.Path(__file__).with_name("darknet.npz")) as file:
    return dict(file)
