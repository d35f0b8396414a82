"""The original's recorded inputs and outputs, read once."""

import pytest

from tests.projects.maskformer.postprocessing.cases import CASES, read_case, read_recordings


@pytest.fixture(scope="session")
def recordings():
  return read_recordings()


@pytest.fixture(params=CASES)
def case(request, recordings):
  return read_case(recordings, request.param)
