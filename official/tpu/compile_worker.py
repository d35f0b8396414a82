"""Compiles a program for a topology with the real TPU compiler; a process of its own.

  python -m official.tpu.compile_worker FOLDER

FOLDER holds `program.hlo` (a serialized HloModuleProto) and `request.json`; `response.json`,
`optimized.hlo` and `lowered.hlo` are written to it. A process of its own can be stopped when the
time is up, survives what kills the compiler, and does not hold TensorFlow in memory.

Facts that this rests on:
  - The program is compiled as it is, with as many replicas as there are cores: what it sums over
    replicas stands in it already, as `TPUStrategy`'s programs have it.
  - `hlo_to_stablehlo` leaves `mhlo.copy` operations, which mean nothing here and which the TPU's
    compiler does not take.
  - v4 and v5p join the two cores of a chip to one device ("megacore"), as TensorFlow uses them.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

_MEGACORE = ("v4", "v5p")


def main() -> None:
  """Compiles what the folder named on the command line asks for."""
  folder = Path(sys.argv[1])
  # No TPU is asked for its metadata, and several of these processes may run at a time.
  os.environ |= {
    "TPU_SKIP_MDS_QUERY": "1",
    "JAX_PLATFORMS": "cpu",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
  }
  request = json.loads((folder / "request.json").read_text())
  began = time.monotonic()
  response = compile_program(folder, request)
  response["seconds"] = time.monotonic() - began
  used = resource.getrusage(resource.RUSAGE_SELF)
  response["cpu_seconds"] = used.ru_utime + used.ru_stime
  response["peak_bytes"] = used.ru_maxrss * 1024
  (folder / "response.json").write_text(json.dumps(response))


def compile_program(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
  """Writes the compiled program's text; memory and costs, or the compiler's error."""
  from jax import errors

  hlo = (folder / "program.hlo").read_bytes()
  _tell("reading the program")
  (folder / "lowered.hlo").write_text(_text(hlo))
  try:
    executable = _compile(hlo, request)
  except (errors.JaxRuntimeError, ValueError) as error:
    return {"error": str(error)}
  _tell("reading the compiled program")
  (folder / "optimized.hlo").write_text(executable.hlo_modules()[0].to_string())
  memory = executable.get_compiled_memory_stats()
  costs = executable.cost_analysis()
  return {
    "memory": {
      "arguments": memory.argument_size_in_bytes,
      "outputs": memory.output_size_in_bytes,
      "aliased": memory.alias_size_in_bytes,
      "temporaries": memory.temp_size_in_bytes,
      "code": memory.generated_code_size_in_bytes,
      "host": memory.host_temp_size_in_bytes + memory.host_argument_size_in_bytes,
    },
    "costs": {name: costs[name] for name in ("flops", "bytes accessed") if name in costs},
  }


def _text(hlo: bytes) -> str:
  from jaxlib import _hlo

  return _hlo.HloModule.from_serialized_hlo_module_proto(hlo).to_string()


def _compile(hlo: bytes, request: dict[str, Any]) -> Any:
  import numpy as np
  from jax._src import compiler
  from jax._src.interpreters import mlir as jax_mlir
  from jax._src.lib import xla_client
  from jax.experimental import topologies

  from official.tpu import stablehlo

  _tell("setting up the topology")
  name, replicas = request["topology"], request["replicas"]
  megacore = {"chip_config_name": "megacore"} if name.startswith(_MEGACORE) else {}
  devices = topologies.get_topology_desc(topology_name=name, platform="tpu", **megacore).devices
  if len(devices) != replicas:
    raise ValueError(f"{name} has {len(devices)} devices, not {replicas}")
  assignment = np.arange(replicas).reshape(replicas, 1)
  options = compiler.get_compile_options(replicas, 1, assignment)
  with jax_mlir.make_ir_context():
    _tell("translating to StableHLO")
    module = stablehlo.parse(hlo)
    _tell("compiling")
    return devices[0].client.compile(module, xla_client.DeviceList(tuple(devices)), options)


def _tell(phase: str) -> None:
  print(phase, flush=True)


if __name__ == "__main__":
  main()
