"""Who may import whom: `train.py` and `tools` → `projects` → `official` → tf-models-official."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILES = [
  path for room in ("official", "projects", "tools") for path in sorted((ROOT / room).rglob("*.py"))
]
_ORIGINALS = ("torch", "torchvision", "transformers", "timm", "detectron2")
_UPSTREAM_MODELS = ("official.projects", "official.vision.modeling", "official.legacy")


def _imports(path):
  """Names of the modules that a file imports, at its top or within functions."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f"{path}: a relative import"
      yield node.module


def _forbidden(parts):
  """Beginnings of modules that a file of this path may not import."""
  forbidden = list(_UPSTREAM_MODELS)
  if parts[0] == "official":
    forbidden += ["projects", "tools"]
  if parts[0] == "projects":
    others = {path.name for path in (ROOT / "projects").iterdir() if path.is_dir()} - {parts[1]}
    forbidden += ["tools", *(f"projects.{name}" for name in others if parts[1] != "registry.py")]
  if "reference" not in parts and parts[:2] != ("official", "parity"):
    forbidden += _ORIGINALS
  return forbidden


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports(path):
  forbidden = _forbidden(path.relative_to(ROOT).parts)
  for module in _imports(path):
    for name in forbidden:
      assert not f"{module}.".startswith(f"{name}."), f"{path.relative_to(ROOT)} imports {module}"
