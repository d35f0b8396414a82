import pytest

from official.tpu.hlo.parsing import parse

TEXT = """HloModule tiny, is_scheduled=true, input_output_alias={ {0}: (1, {}, may-alias) }

%inner (p: f32[4,8], q: f32[8,8]) -> f32[4,8] {
  %q = f32[8,8]{1,0} parameter(1)
  %p = f32[4,8]{1,0} parameter(0)
  ROOT %dot.1 = f32[4,8]{1,0} dot(%p, %q), lhs_contracting_dims={1}, rhs_contracting_dims={0}, metadata={op_name="net/head/MatMul" source_line=3}
}

%body.2 (s: (s32[], f32[4,8])) -> (s32[], f32[4,8]) {
  %s = (s32[], /*index=1*/f32[4,8]{1,0:T(8,128)}) parameter(0)
  ROOT %t = (s32[], f32[4,8]{1,0:T(8,128)}) tuple(%s)
}

ENTRY %main.0 (x: f32[4,8]) -> f32[4,8] {
  %x = f32[4,8]{1,0:T(8,128)} parameter(0), metadata={op_name="XLA_Args"}
  %c = f32[8,8]{1,0} constant({ { 1, 2 (3) } })
  %loop = (s32[], f32[4,8]{1,0}) while(%x), condition=%cond, body=%body.2, backend_config={"known_trip_count":{"n":"7"}}
  %pick = f32[4,8]{1,0} conditional(%x, %x), branch_computations={%inner, %body.2}
  ROOT %fusion = (f32[4,8]{1,0:T(8,128)S(1)}, f32[]) fusion(f32[4,8]{1,0} %x, %c), kind=kOutput, calls=%inner, backend_config={"window_config":{"estimated_cycles":"1234"}}
}
"""  # noqa: E501


@pytest.fixture(scope="module")
def module():
  return parse(TEXT)


def test_the_entry_and_its_root(module):
  assert module.entry.name == "main.0"
  assert module.entry.root.name == "fusion"
  assert set(module.computations) == {"inner", "body.2", "main.0"}


def test_an_instruction(module):
  fusion = module.entry.root
  assert fusion.opcode == "fusion"
  assert fusion.operands == ("x", "c")
  assert [str(shape) for shape in fusion.shapes] == ["f32[4,8]", "f32[]"]
  assert fusion.cycles == 1234
  assert [each.name for each in module.of(fusion, "calls")] == ["inner"]


def test_a_loop_knows_its_body_and_its_trips(module):
  loop = module.entry.instructions["loop"]
  assert loop.trips == 7
  assert loop.called == {"condition": ("cond",), "body": ("body.2",)}


def test_branches(module):
  pick = module.entry.instructions["pick"]
  assert [each.name for each in module.of(pick, "branches")] == ["inner", "body.2"]


def test_names_of_operations(module):
  assert module.computations["inner"].root.op_name == "net/head/MatMul"
  assert module.entry.instructions["loop"].op_name == ""


def test_parameters_are_in_order_and_know_their_users(module):
  inner = module.computations["inner"]
  assert [each.name for each in inner.parameters] == ["p", "q"]
  assert [each.name for each in inner.users["q"]] == ["dot.1"]


def test_what_is_no_program_is_refused():
  with pytest.raises(ValueError, match="ENTRY"):
    parse("HloModule nothing\n")
