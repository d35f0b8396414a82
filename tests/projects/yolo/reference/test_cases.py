"""Our variants are their originals: weights, layers, losses, gradients, training steps, both ends.

What is missing here of a whole run (`python tools/parity.py run yolo v4-csp --steps 10`) is slow.
"""

import subprocess
import sys

import pytest

from official.parity.testing import assert_parity
from projects import dossiers

CASES = dossiers.of_project("yolo").parity()


def test_the_small_network_whole():
  assert_parity(CASES["v3-tiny"], steps=2)


@pytest.mark.parametrize("variant", ["v4-tiny", "v4-csp"])
def test_every_layer_of_the_others(variant):
  assert_parity(CASES[variant], stages=["forward"])


# What a machine of 64 GB holds: up to 80 M parameters.
TRAINED = [name for name in CASES if name not in ("v4x-mish", "v4-p6", "v4-p7")]


@pytest.mark.slow
@pytest.mark.parametrize("variant", [name for name in CASES if name not in ("v4-p6", "v4-p7")])
def test_every_layer_of_the_large_ones(variant):
  assert_parity(CASES[variant], stages=["forward"])


@pytest.mark.slow
@pytest.mark.parametrize("variant", TRAINED)
def test_ten_steps(variant):
  assert_parity(CASES[variant], steps=10, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_lower_precision(precision):
  stages = ["forward", "loss", "gradients", "preprocess", "postprocess"]
  assert_parity(CASES["v4-tiny"], precision=precision, stages=stages)


def test_a_case_is_stated_without_either_framework():
  program = (
    "import sys; from projects import dossiers; dossiers.of_project('yolo').parity(); "
    "sys.exit(any(name in sys.modules for name in ('torch', 'tensorflow')))"
  )
  subprocess.run([sys.executable, "-c", program], check=True)
