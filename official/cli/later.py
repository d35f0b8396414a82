"""Modules that are imported when they are first used, whoever imports them.

`importlib.util.LazyLoader` loads as soon as a second module has the import statement.
"""

import importlib
import importlib.util
import sys
import types
from typing import Any


class _Later(types.ModuleType):
  """Stands for a module until something in it is asked for."""

  def __getattr__(self, name: str) -> Any:
    if sys.modules.get(self.__name__) is self:
      del sys.modules[self.__name__]
    return getattr(importlib.import_module(self.__name__), name)


def import_later(name: str) -> None:
  """Lets `import name` take nothing until it is used; without effect on what is imported already.

  Args:
    name: of a top-level module; one that is not installed is left to fail as it does.
  """
  spec = None if name in sys.modules else importlib.util.find_spec(name)
  if spec is not None:
    sys.modules[name] = module = _Later(name)
    module.__spec__ = spec
