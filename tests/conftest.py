"""What all tests share: a quiet TensorFlow, and the real data where it is at hand."""

import pathlib

import pytest

from official.cli.app import prepare_tensorflow

prepare_tensorflow()


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
  """The folder of real images, ground truth and weights beside a developer's checkout."""
  folder = pathlib.Path(__file__).resolve().parents[2] / "shared"
  if not folder.is_dir():
    pytest.skip("no ../shared beside this checkout")
  return folder
