"""Puts an experiment through trace → lint → lower → compile → budget."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from official.cli.errors import UserError
from official.core import config_definitions as cfg
from official.tpu import compiling, failures, inspection
from official.tpu.budget import Budget, budget
from official.tpu.chips import Topology
from official.tpu.findings import Finding, Level, merged
from official.tpu.hlo import parsing
from official.tpu.lint import linter, tracing
from official.tpu.lowering import NotLowered, lower
from official.tpu.origins import Origin, Origins
from official.tpu.step import Kind, Step, trace

Tell = Callable[[str], None]
_BATCH = {"train": "train_data", "eval": "validation_data"}


@dataclasses.dataclass(frozen=True)
class Options:
  """How to check.

  Attributes:
    kind: whether the step that trains or the one that evaluates.
    batch: images of one replica; None: as the experiment says.
    lint_only: whether to stop before compiling.
    limit: seconds after which the compiler is stopped; None waits.
    cache: folder of earlier results; None remembers nothing.
    tell: is called with the name of each phase as it begins.
  """

  kind: Kind = "train"
  batch: int | None = None
  lint_only: bool = False
  limit: float | None = None
  cache: Path | None = None
  tell: Tell = lambda phase: None


@dataclasses.dataclass(frozen=True)
class Check:
  """What a check found.

  Attributes:
    topology: for which.
    kind: of the step.
    batch: images of one replica.
    precision: the dtype in which the model computes; empty where the step was not traced.
    findings: the worst first.
    budget: None where it was not compiled.
    origins: of the budget's costs, by `op_name`.
    phases: seconds by phase.
    compiled: whether it was asked for, and done.
    lint_only: whether compiling was not asked for.
    cached: whether the compiler's work is remembered from an earlier run.
    compiler_seconds: of all processors together, that compiling took.
    compiler_bytes: memory that it took.
  """

  topology: Topology
  kind: Kind
  batch: int
  precision: str
  findings: tuple[Finding, ...]
  budget: Budget | None
  origins: dict[str, Origin]
  phases: dict[str, float]
  lint_only: bool = False
  cached: bool = False
  compiler_seconds: float = 0
  compiler_bytes: int = 0

  @property
  def fits(self) -> bool:
    """Whether it compiles and fits; of a lint, whether nothing is an error."""
    if self.budget is None:
      return self.lint_only and not self.errors
    return self.budget.memory.headroom >= 0

  @property
  def errors(self) -> list[Finding]:
    """The findings for which it does not run."""
    return [finding for finding in self.findings if finding.level == Level.ERROR]


def with_batch(params: cfg.ExperimentConfig, kind: Kind, batch: int | None, replicas: int) -> int:
  """Sets the global batch for `batch` images a replica; returns the images of a replica."""
  data = getattr(params.task, _BATCH[kind])
  if batch is not None:
    data.global_batch_size = batch * replicas
  return data.global_batch_size // replicas


def check(params: cfg.ExperimentConfig, topology: Topology, options: Options) -> Check:
  """Checks one step of an experiment for a topology.

  Raises:
    UserError: the batch does not divide among the replicas, or a package is missing.
  """
  clock = _Clock(options.tell)
  replicas = topology.replicas
  batch = with_batch(params, options.kind, options.batch, replicas)
  empty = Check(topology, options.kind, batch, "", (), None, {}, clock.seconds)
  with clock.phase("tracing the step"):
    try:
      step = trace(params, options.kind, replicas)
    except Exception as error:  # The task's own code raises what it likes.
      return _untraced(empty, error)
  with clock.phase("linting"):
    findings = linter.lint(step.graph, step.model, step.precision)
  linted = dataclasses.replace(empty, precision=step.precision, findings=tuple(findings))
  if options.lint_only:
    return dataclasses.replace(linted, lint_only=True)
  return _compiled(linted, step, options, clock)


def _untraced(check: Check, error: Exception) -> Check:
  if isinstance(error, UserError):
    raise error
  return dataclasses.replace(check, findings=(tracing.explain(error),))


def _compiled(check: Check, step: Step, options: Options, clock: "_Clock") -> Check:
  origins = Origins(step.graph, step.model)
  try:
    with clock.phase("lowering"):
      program = lower(step)
  except NotLowered as error:
    return dataclasses.replace(check, findings=(*check.findings, error.finding))
  compiled = compiling.compile_for(
    program, check.topology, limit=options.limit, cache=options.cache, tell=clock.tell
  )
  clock.seconds["compiling"] = compiled.seconds
  check = dataclasses.replace(
    check,
    cached=compiled.cached,
    compiler_seconds=compiled.cpu_seconds,
    compiler_bytes=compiled.peak_bytes,
  )
  if compiled.error:
    found = failures.explain(compiled, origins)
    return dataclasses.replace(check, findings=(found, *check.findings))
  with clock.phase("reading the compiled step"):
    return _budgeted(check, compiled, origins)


def _budgeted(check: Check, compiled: compiling.Compiled, origins: Origins) -> Check:
  found = budget(compiled, check.topology)
  module, lowered = parsing.parse(compiled.optimized), parsing.parse(compiled.lowered)
  seen = inspection.inspect(module, lowered, found, check.precision, origins)
  named = {cost.op_name: origins.named(cost.op_name) for cost in found.costs if cost.op_name}
  # What the lint calls an error is none where it compiled.
  milder = [_milder(finding) for finding in check.findings]
  findings = tuple(merged([*seen, *milder]))
  return dataclasses.replace(check, budget=found, findings=findings, origins=named)


def _milder(finding: Finding) -> Finding:
  is_error = finding.level == Level.ERROR
  return dataclasses.replace(finding, level=Level.WARNING) if is_error else finding


class _Clock:
  """Times phases, and tells when they begin."""

  def __init__(self, tell: Tell) -> None:
    self.seconds: dict[str, float] = {}
    self.tell = tell

  @contextlib.contextmanager
  def phase(self, name: str) -> Iterator[None]:
    self.tell(name)
    began = time.monotonic()
    try:
      yield
    finally:
      self.seconds[name] = time.monotonic() - began


def environment() -> dict[str, Any]:
  """Versions that a check stands on."""
  import tensorflow as tf

  return {"tensorflow": tf.__version__, **compiling.versions()}
