"""From XLA's language to StableHLO, and to an artifact that JAX runs anywhere."""

import io
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import export
from jax._src.interpreters import mlir as jax_mlir
from jax.tree_util import tree_structure
from jaxlib import _jax
from jaxlib.mlir import ir

_VERSION = "1.8.0"  # Of StableHLO, which later ones read.
_PLATFORM = "cpu"  # Of record alone: the program is the same everywhere.
_NAMES = {"i1": "bool", "bf16": "bfloat16", "f16": "float16", "f32": "float32", "f64": "float64"}


def artifact(hlo: bytes) -> bytes:
  """A program as `jax.export` serializes it: StableHLO, of any platform.

  Args:
    hlo: a serialized `HloModuleProto`.
  """
  code, inputs, outputs = _portable(hlo)
  anywhere = [export.DisabledSafetyCheck.platform()]
  program = jax.jit(_exported(code, inputs, outputs).call)
  shapes = [jax.ShapeDtypeStruct(each.shape, each.dtype) for each in inputs]
  with jax.enable_x64(True):
    exported = export.export(program, platforms=[_PLATFORM], disabled_checks=anywhere)(*shapes)
    return bytes(exported.serialize())


def erase_copies(operation: Any) -> None:
  """Takes `mhlo.copy` out of an MLIR operation and all that is in it: values need no copies."""
  for region in operation.regions:
    for block in region.blocks:
      for inner in list(block.operations):
        erase_copies(inner.operation)
        if inner.operation.name == "mhlo.copy":
          inner.operation.results[0].replace_all_uses_with(inner.operation.operands[0])
          inner.operation.erase()


def parse(hlo: bytes) -> ir.Module:
  """The module in StableHLO; in an MLIR context."""
  module = ir.Module.parse(_jax.mlir.hlo_to_stablehlo(hlo))
  erase_copies(module.operation)
  return module


def _portable(hlo: bytes) -> tuple[bytes, list[Any], list[Any]]:
  """The module as bytes, and the types of its parameters and results."""
  with jax_mlir.make_ir_context():
    module = parse(hlo)
    main = next(op for op in module.body.operations if op.attributes["sym_name"].value == "main")
    signature = main.attributes["function_type"].value
    types = [[_aval(each) for each in side] for side in (signature.inputs, signature.results)]
    code = io.BytesIO()
    module.operation.write_bytecode(code)
  return _jax.mlir.serialize_portable_artifact(code.getvalue(), _VERSION), *types


def _aval(mlir_type: Any) -> Any:
  tensor = ir.RankedTensorType(mlir_type)
  text = str(tensor.element_type)
  integer = text.replace("ui", "uint") if text[0] == "u" else text.replace("i", "int")
  name = _NAMES.get(text, integer)
  return jax.core.ShapedArray(tuple(tensor.shape), np.dtype(jax.numpy.dtype(name)))


def _exported(code: bytes, inputs: Sequence[Any], outputs: Sequence[Any]) -> export.Exported:
  none_in, none_out = (None,) * len(inputs), (None,) * len(outputs)
  return export.Exported(
    fun_name="step",
    in_tree=tree_structure(((0,) * len(inputs), {})),
    in_avals=tuple(inputs),
    out_tree=tree_structure((0,) * len(outputs)),
    out_avals=tuple(outputs),
    _has_named_shardings=False,
    _in_named_shardings=none_in,
    _out_named_shardings=none_out,
    in_shardings_hlo=none_in,
    out_shardings_hlo=none_out,
    nr_devices=1,
    platforms=(_PLATFORM,),
    ordered_effects=(),
    unordered_effects=(),
    disabled_safety_checks=(export.DisabledSafetyCheck.platform(),),
    mlir_module_serialized=code,
    calling_convention_version=export.maximum_supported_calling_convention_version,
    module_kept_var_idx=tuple(range(len(inputs))),
    uses_global_constants=False,
    _get_vjp=None,
  )
