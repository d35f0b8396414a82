"""Imported networks are what PyTorch makes of the same files, layer by layer."""

import pytest

from official.parity.testing import assert_parity
from projects.yolo.reference.imported import imported_case
from tests.projects.yolo.modeling.darknet.test_model import GARDEN, ZOO
from tests.projects.yolo.reference import recipe


def test_every_kind_of_layer(tmp_path):
  (tmp_path / "zoo.cfg").write_text(ZOO)
  assert_parity(imported_case(tmp_path / "zoo.cfg"))


def test_every_layer_that_multiplies_or_reorders(tmp_path):
  (tmp_path / "garden.cfg").write_text(GARDEN)
  assert_parity(imported_case(tmp_path / "garden.cfg"), stages=["forward"])


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe.REAL)
def test_the_real_networks(name, darknet_data, tmp_path):
  cfg = recipe.resized_cfg(darknet_data / f"{name}.cfg", 96, tmp_path)
  assert_parity(imported_case(cfg, darknet_data / f"{name}.weights"))
