"""Holds a traced step against the rules."""

import tensorflow as tf

from official.tpu.findings import Finding, merged
from official.tpu.lint.rules import RULES
from official.tpu.origins import Origins, operations


def lint(
  function: tf.types.experimental.ConcreteFunction, model: tf.Module, precision: str
) -> list[Finding]:
  """What is wrong with a step, the worst first.

  Args:
    function: the traced step.
    model: of it.
    precision: the dtype in which the model computes, such as `bfloat16`.
  """
  origins = Origins(function, model)
  found = (_judge(op, precision, origins) for op in operations(function))
  return merged(finding for finding in found if finding)


def _judge(op: tf.Operation, precision: str, origins: Origins) -> Finding | None:
  rule = next((rule for rule in RULES if rule.holds(op, precision)), None)
  if rule is None:
    return None
  origin = origins.of(op)
  return Finding(rule.name, rule.level, op.type, origin.layer, origin.line, rule.reason, rule.cure)
