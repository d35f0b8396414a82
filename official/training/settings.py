"""The experiment that flags ask for: registered defaults, then files, then overrides.

Every mistake is a `UserError` of one line that names the key, and the nearest key that exists.
"""

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import gin

from official.cli.errors import UserError, nearest
from official.core import config_definitions, exp_factory
from official.modeling import hyperparams
from official.modeling.hyperparams import oneof, params_dict
from official.training import yaml_files


def experiment(name: str) -> config_definitions.ExperimentConfig:
  """The experiment registered as `name`, with its defaults."""
  known = registered()
  if name not in known:
    raise UserError(f"no experiment '{name}'{nearest(name, known)} (see --list_experiments)")
  return exp_factory.get_exp_config(name)


def registered() -> list[str]:
  """Names of the registered experiments, sorted."""

  def names(table: Mapping[str, Any], prefix: str) -> list[str]:
    return [
      name
      for key, value in table.items()
      for name in (names(value, f"{prefix}{key}/") if isinstance(value, dict) else [prefix + key])
    ]

  return sorted(names(exp_factory._REGISTERED_CONFIGS, ""))


def read_gin(files: Sequence[str], bindings: Sequence[str]) -> None:
  """Reads gin files and bindings, if there are any."""
  if not files and not bindings:
    return
  try:
    gin.parse_config_files_and_bindings(files, bindings)
  except (ValueError, OSError, SyntaxError, ImportError, RuntimeError) as error:
    raise UserError(f"gin: {' '.join(str(error).split())}") from error


def override(params: hyperparams.Config, values: Mapping[str, Any], source: str) -> None:
  """Overrides `params` with the nested `values`, which come from `source` (named in errors)."""
  check(params, values, source)
  try:
    params.override(dict(values), is_strict=True)
  except (KeyError, TypeError, ValueError, AttributeError) as error:
    raise UserError(f"{source}: {error}") from error


def parse_override(text: str) -> dict[str, Any]:
  """The nested values of `--params_override`: `a.b=1,c=2`, YAML, JSON, or the name of a file."""
  try:
    return yaml_files.parse(params_dict.nested_csv_str_to_json_str(text), "--params_override")
  except ValueError:  # It is not of the form a.b=1,c=2.
    pass
  if "\n" not in text and text.endswith((".yaml", ".yml", ".json")):
    return yaml_files.read(text)
  return yaml_files.parse(text, "--params_override")


def check(params: hyperparams.Config, values: Mapping[str, Any], source: str, at: str = "") -> None:
  """Raises unless every key of `values` is one of `params`, and every value of its type."""
  hints = type(params)._get_annotations()
  known = [key for key in params.__dict__ if key not in params.RESERVED_ATTR]
  for key, value in values.items():
    path = f"{at}{key}"
    if key not in known:
      raise UserError(f"{source}: unknown key '{path}'{nearest(str(key), known)}")
    _check_value(params, key, value, hints.get(key, Any), f"{source}: {path}")
    if isinstance(value, Mapping):
      check(_section(params, key), value, source, f"{path}.")


def _check_value(params: hyperparams.Config, key: str, value: Any, hint: Any, where: str) -> None:
  if isinstance(params, oneof.OneOfConfig) and key == "type" and value is not None:
    known = [k for k in params.__dict__ if k not in ("type", *params.RESERVED_ATTR)]
    if value not in known:
      raise UserError(f"{where}: no '{value}'{nearest(str(value), known)}")
  elif not _fits(value, hint):
    raise UserError(f"{where}: expected {_name(hint)}, got {value!r}")


def _section(params: hyperparams.Config, key: str) -> hyperparams.Config:
  """The config under `key`; where it is None yet, an empty one of the annotated type."""
  section = params.__dict__[key]
  return section if isinstance(section, hyperparams.Config) else params._get_subconfig_type(key)()


def _fits(value: Any, hint: Any) -> bool:
  origin, arguments = typing.get_origin(hint), typing.get_args(hint)
  if hint is Any:
    return True
  if origin in (typing.Union, types.UnionType):
    return any(_fits(value, argument) for argument in arguments)
  if origin in (list, tuple, Sequence):
    items = [a for a in arguments if a is not Ellipsis] or [Any]
    return isinstance(value, list | tuple) and all(any(_fits(v, i) for i in items) for v in value)
  if isinstance(hint, type) and issubclass(hint, hyperparams.ParamsDict):
    return isinstance(value, Mapping | hyperparams.ParamsDict)
  if hint is float:
    return isinstance(value, int | float) and not isinstance(value, bool)
  if hint is int:
    return isinstance(value, int) and not isinstance(value, bool)
  return isinstance(value, origin or hint)


def _name(hint: Any) -> str:
  arguments = typing.get_args(hint)
  if typing.get_origin(hint) in (typing.Union, types.UnionType):
    return " or ".join(_name(argument) for argument in arguments)
  if arguments:
    return f"{typing.get_origin(hint).__name__.lower()} of {_name(arguments[0])}"
  if isinstance(hint, type) and issubclass(hint, hyperparams.ParamsDict):
    return "a section (key: value …)"
  return "null" if hint is type(None) else getattr(hint, "__name__", str(hint))
