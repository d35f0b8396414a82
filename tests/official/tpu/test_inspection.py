"""Findings of compiled programs that are written by hand."""

import pytest
import tensorflow as tf

from official.tpu import chips, compiling, failures
from official.tpu.budget import budget
from official.tpu.compiling import Compiled
from official.tpu.findings import Level
from official.tpu.hlo import parsing
from official.tpu.inspection import inspect
from official.tpu.origins import Origins
from tests.official.tpu.conftest import step_of
from tests.official.tpu.defects import line_of

GIB = 2**30
TEXT = """HloModule written

ENTRY %main (x: f32[64,3]) -> f32[64,3] {
  %x = f32[64,3]{1,0:T(8,128)} parameter(0)
  %w = f32[3,85]{1,0:T(8,128)} parameter(1)
  %narrow = f32[64,3]{1,0:T(8,128)} negate(%x), metadata={op_name="Neg"}
  %call = f32[8]{0:T(128)S(1)} custom-call(), custom_call_target="xla_python_cpu_callback"
  %random = u32[8]{0:T(128)S(1)} rng(), distribution=rng_uniform
  ROOT %product = f32[64,85]{1,0:T(8,128)S(1)} dot(%narrow, %w), lhs_contracting_dims={1}, rhs_contracting_dims={0}, metadata={op_name="MatMul"}
}
"""  # noqa: E501


def negate(x):
  return -x  # here


@pytest.fixture(scope="module")
def origins():
  return Origins(step_of(negate, tf.TensorSpec([64, 3])).graph, tf.Module())


def compiled(arguments=0, temporaries=0, error=""):
  memory = {"arguments": arguments, "temporaries": temporaries}
  return Compiled(memory, {"flops": 1.0}, TEXT, TEXT, error, 1.0, 1.0, 0)


def found(origins, precision="bfloat16", **memory):
  program, module = compiled(**memory), parsing.parse(TEXT)
  figures = budget(program, chips.parse("v5e:1x1"))
  return {each.rule: each for each in inspect(module, module, figures, precision, origins)}


@pytest.mark.parametrize(
  ("gib", "level"), [(17, Level.ERROR), (15.5, Level.WARNING), (15, None), (1, None)]
)
def test_memory(origins, gib, level):
  finding = found(origins, temporaries=int(gib * GIB)).get("memory")
  assert (finding.level if finding else None) == level


def test_outputs_that_replace_arguments_take_no_memory_of_their_own():
  memory = {"arguments": 5, "outputs": 7, "aliased": 4, "temporaries": 3, "code": 2}
  program = Compiled(memory, {}, TEXT, TEXT, "", 1.0, 1.0, 0)
  assert budget(program, chips.parse("v3:1x1")).memory.total == 5 + 7 - 4 + 3 + 2


def test_padding_names_the_line(origins):
  module = parsing.parse(TEXT)
  figures = budget(compiled(), chips.parse("v5e:1x1"))
  padding = [
    each for each in inspect(module, module, figures, "float32", origins) if each.rule == "padding"
  ]
  assert [each.line for each in padding if each.op == "Neg"] == [line_of(negate)]
  assert all("42.7 times" in each.reason for each in padding if each.op == "Neg")  # 128 for 3.


def test_host_transfers_and_random_numbers_are_told(origins):
  rules = found(origins)
  assert rules["host-transfer"].level == Level.WARNING
  assert "rng" in rules


def test_the_share_of_a_float32_product(origins):
  assert "100.00% of all FLOPs" in found(origins)["float32-product"].reason
  assert "float32-product" not in found(origins, "float32")


def test_how_much_of_a_matrix_unit_the_features_fill():
  figures = budget(compiled(), chips.parse("v5e:1x1"))
  assert figures.fill == pytest.approx(3 / 128 * 85 / 128)
  assert budget(compiled(), chips.parse("v6e:1x1")).fill == pytest.approx(3 / 256 * 85 / 256)


@pytest.mark.parametrize(
  ("error", "rule", "told"),
  [
    (
      "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 20.10G of 15.75G hbm.",
      "memory",
      "20.10G of the 15.75G",
    ),
    (
      "RESOURCE_EXHAUSTED: CompileTimeHbmOom: total (46.1G) exceeds available HBM (15.75G).",
      "memory",
      "f32[64,85]",
    ),
    ('UNIMPLEMENTED: no such op metadata={op_name="Neg"}', "not-compiled", "no such op"),
    ("not compiled after 5 s, the time limit (--time_limit)", "time", "after 5 s"),
  ],
)
def test_what_the_compiler_refuses(origins, error, rule, told):
  finding = failures.explain(compiled(error=error), origins)
  assert finding.rule == rule
  assert finding.level == Level.ERROR
  assert told in finding.reason


def test_the_operation_that_the_compiler_names_is_found(origins):
  error = 'UNIMPLEMENTED: no such op metadata={op_name="Neg"}'
  assert failures.explain(compiled(error=error), origins).line == line_of(negate)


@pytest.mark.usefixtures("libtpu")
def test_a_compiler_that_dies_says_so(monkeypatch, tmp_path):
  program = type("Program", (), {"hlo": b"", "digest": "0"})
  monkeypatch.setattr(compiling, "_WORKER", "official.tpu.no_such_worker")
  result = compiling.compile_for(program, chips.parse("v5e:1x1"), cache=tmp_path)
  assert "died (exit code 1" in result.error
  assert "no_such_worker" in result.error
  assert not list(tmp_path.iterdir())
