"""Finding projects and experiments."""

import subprocess
import sys

import pytest

from official.cli.errors import UserError
from projects import dossiers


def test_projects_are_those_with_a_dossier():
  assert {"maskformer", "yolo"} <= set(dossiers.names())
  assert dossiers.of_project("yolo").name == "yolo"


def test_an_unknown_project():
  with pytest.raises(UserError, match="no project 'yollo'; did you mean 'yolo'"):
    dossiers.of_project("yollo")


def test_of_experiment():
  assert dossiers.of_experiment("yolo_v4_tiny_shapes") is dossiers.of_project("yolo")
  with pytest.raises(UserError, match="no experiment 'yolo_v4_tiny_shape'; did you mean"):
    dossiers.of_experiment("yolo_v4_tiny_shape")


def test_dossiers_are_read_without_tensorflow():
  code = (
    "import sys; from projects import dossiers; "
    "[dossiers.of_project(name) for name in dossiers.names()]; "
    "sys.exit('tensorflow' in sys.modules)"
  )
  subprocess.run([sys.executable, "-c", code], check=True)
