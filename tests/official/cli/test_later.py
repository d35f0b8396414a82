"""Imports that wait, by packages that say when they are run."""

import importlib
import sys

import pytest

from official.cli.later import import_later


@pytest.fixture
def runs(tmp_path, monkeypatch):
  """A package `waiting` with a module `part`; its first line notes every run in the list."""
  package = tmp_path / "waiting"
  package.mkdir()
  (package / "__init__.py").write_text("import sys\nsys.waited.append(__name__)\nsize = 3\n")
  (package / "part.py").write_text("import sys\nsys.waited.append(__name__)\n")
  monkeypatch.syspath_prepend(tmp_path)
  monkeypatch.setattr(sys, "waited", [], raising=False)
  yield sys.waited
  for name in ("waiting", "waiting.part"):
    sys.modules.pop(name, None)


def test_nothing_is_run_before_it_is_used(runs):
  import_later("waiting")
  import waiting  # Twice: the second import is what LazyLoader would load on.

  assert importlib.import_module("waiting") is waiting
  assert runs == []
  assert waiting.size == 3
  assert waiting.size == 3
  assert runs == ["waiting"]
  assert importlib.import_module("waiting").__file__.endswith("__init__.py")


@pytest.mark.parametrize("statement", ["import waiting.part", "from waiting import part"])
def test_a_part_is_imported_with_its_package(runs, statement):
  import_later("waiting")
  exec(statement)
  assert runs == ["waiting", "waiting.part"]
  assert sys.modules["waiting"].part is sys.modules["waiting.part"]


def test_what_is_imported_already_stays(runs):
  import waiting

  import_later("waiting")
  assert sys.modules["waiting"] is waiting


def test_what_is_not_installed_fails_as_ever(runs):
  import_later("waiting_in_vain")
  with pytest.raises(ModuleNotFoundError, match="waiting_in_vain"):
    import waiting_in_vain  # noqa: F401


def test_an_unknown_name_is_an_attribute_error(runs):
  import_later("waiting")
  import waiting

  with pytest.raises(AttributeError, match="no attribute 'colour'"):
    waiting.colour  # noqa: B018
