"""Versions of foreign packages: those at hand, and those that the repository pins."""

import functools
import importlib.metadata
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

LOCK = "requirements.lock"

_PIN = re.compile(r"([A-Za-z0-9._-]+)==([^\s;#]+)")


def installed(packages: Iterable[str]) -> dict[str, str]:
  """The versions of the distributions that bring `packages`, by the distribution's name.

  A package that is not installed, or that stands in a checkout of its own, has no version.
  """
  names = {name for package in packages for name in _distributions().get(package, ())}
  found = {_plain(name): importlib.metadata.distribution(name) for name in names}
  foreign = {name: of for name, of in found.items() if not _is_checkout(of)}
  return {name: of.version.partition("+")[0] for name, of in sorted(foreign.items())}


def pinned(root: Path) -> dict[str, str]:
  """The versions of `requirements.lock`, by the distribution's name; none where it is missing."""
  path = root / LOCK
  if not path.is_file():
    return {}
  rows = (_PIN.match(line) for line in path.read_text().splitlines())
  return {_plain(row[1]): row[2].partition("+")[0] for row in rows if row}


def differing(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
  """A line for each version in `then` that `now` has otherwise."""
  return [
    f"{name} was {version}, {LOCK} has {now[name]}"
    for name, version in then.items()
    if now.get(name, version) != version
  ]


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
  return importlib.metadata.packages_distributions()


def _is_checkout(distribution: importlib.metadata.Distribution) -> bool:
  editable = "editable" in (distribution.read_text("direct_url.json") or "")
  return editable or Path(str(distribution.locate_file("pyproject.toml"))).is_file()


def _plain(name: str) -> str:
  return re.sub(r"[-_.]+", "-", name).lower()
