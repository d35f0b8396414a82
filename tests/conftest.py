"""What all tests share: a quiet TensorFlow, and the real data where it is at hand."""

import ctypes
import gc
import pathlib
import resource
import sys

import pytest

from official.cli.app import prepare_tensorflow

prepare_tensorflow()

_ROOM = 2**31  # Bytes.


@pytest.fixture(scope="module", autouse=True)
def _memory():
  """Gives networks back behind each file: they are cycles, which Python collects too seldom."""
  yield
  pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
  if pages * resource.getpagesize() > _ROOM and "tf_keras" in sys.modules:
    sys.modules["tf_keras"].backend.clear_session()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
  """The folder of real images, ground truth and weights beside a developer's checkout."""
  folder = pathlib.Path(__file__).resolve().parents[2] / "shared"
  if not folder.is_dir():
    pytest.skip("no ../shared beside this checkout")
  return folder
