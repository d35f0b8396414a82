"""What recording a network costs: its own step beside a recording of it, in time and peak memory.

Each in a process of its own. A step is forward and backward; the recording is of inference and of
training, with every layer's output and gradient, and with the proof that taps change nothing: four
passes, two of them to disk.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from official.cli.app import prepare_tensorflow
from official.parity.case import Side

_MAKERS: dict[str, Callable[[], tuple[Side, Mapping[str, np.ndarray]]]] = {}


def main() -> None:
  """Prints a line for each network: own step, compiled step where there is one, recording."""
  print(f"{'':28}{'own step':>30}{'compiled':>30}{'recording':>30}{'more than own':>16}")
  for name in _MAKERS:
    kinds = ("own", "compiled", "recording") if "keras" in name else ("own", "recording")
    results = {kind: _measure(name, kind) for kind in kinds}
    own = min(result["peak"] for kind, result in results.items() if kind != "recording")
    cells = [_cell(results.get(kind)) for kind in ("own", "compiled", "recording")]
    more = results["recording"]["peak"] - own
    print(f"{name:28}{''.join(cells)}{more:13.2f} GB", flush=True)


def _cell(result: Mapping[str, float] | None) -> str:
  if not result:
    return " " * 30
  return f"{result['wall']:7.1f} s{result['cpu']:7.1f} CPU s{result['peak']:6.2f} GB"


def _measure(name: str, kind: str) -> dict[str, float]:
  command = [sys.executable, "-m", "benchmarks.recording", "--network", name, "--kind", kind]
  result = subprocess.run(command, check=True, capture_output=True, text=True)
  return json.loads(result.stdout.splitlines()[-1])


def _maker(name: str) -> Callable[[Callable], Callable]:
  return lambda make: _MAKERS.setdefault(name, make)


@_maker("torch v4-csp 640² float64")
def _torch_csp() -> tuple[Side, Mapping[str, np.ndarray]]:
  from projects.yolo.reference import darknet

  path = Path(darknet.__file__).parent / "cfg" / "yolov4-csp.cfg"
  network = darknet.Darknet(path).double()

  def losses(outputs: Any, batch: Any) -> Mapping[str, Any]:
    return {"total": sum(x.square().mean() for x in outputs.values())}

  side = Side(network, lambda batch, training: network(batch["images"]), losses)
  return side, {"images": np.random.default_rng(0).uniform(size=[1, 3, 640, 640])}


@_maker("keras v4-csp 640² float64")
def _keras_csp() -> tuple[Side, Mapping[str, np.ndarray]]:
  import tf_keras

  from projects.yolo.configs.yolo import Model
  from projects.yolo.modeling.factory import build_yolo

  tf_keras.backend.set_floatx("float64")
  network = build_yolo(Model(variant="v4-csp", input_size=640))
  images = np.random.default_rng(0).uniform(size=[1, 640, 640, 3])
  return _keras_side(network, lambda outputs: outputs["raw"].values()), {"images": images}


@_maker("keras ResNet50 640² float32")
def _keras_resnet() -> tuple[Side, Mapping[str, np.ndarray]]:
  import tf_keras

  network = tf_keras.applications.ResNet50(weights=None, include_top=False)
  images = np.random.default_rng(0).uniform(size=[2, 640, 640, 3]).astype(np.float32)
  return _keras_side(network, lambda outputs: [outputs]), {"images": images}


def _keras_side(network: Any, tensors: Callable[[Any], Any]) -> Side:
  import tensorflow as tf

  def losses(outputs: Any, batch: Any) -> Mapping[str, Any]:
    return {"total": sum(tf.reduce_mean(tf.square(x)) for x in tensors(outputs))}

  return Side(network, lambda batch, training: network(batch["images"], training=training), losses)


def _run(name: str, kind: str) -> None:
  prepare_tensorflow()
  side, batch = _MAKERS[name]()
  run = {"own": _own, "compiled": _compiled, "recording": _record}[kind]
  wall, cpu = time.perf_counter(), time.process_time()
  run(side, batch, torch="torch" in name)
  wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
  print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak}))


def _own(side: Side, batch: Mapping[str, np.ndarray], torch: bool) -> Any:
  if torch:
    from official.parity.recorders.torch_recorder import to_tensor

    tensors = {name: to_tensor(array) for name, array in batch.items()}
    return side.losses(side.forward(tensors, True), tensors)["total"].backward()
  import tensorflow as tf

  tensors = {name: tf.constant(array) for name, array in batch.items()}
  with tf.GradientTape() as tape:
    loss = side.losses(side.forward(tensors, True), tensors)["total"]
  return tape.gradient(loss, side.network.trainable_variables)


def _compiled(side: Side, batch: Mapping[str, np.ndarray], torch: bool) -> Any:
  import tensorflow as tf

  return tf.function(lambda: _own(side, batch, torch))()


def _record(side: Side, batch: Mapping[str, np.ndarray], torch: bool) -> None:
  from official.parity.recording.header import Header
  from official.parity.recording.writer import RecordingWriter

  if torch:
    from official.parity.recorders.torch_recorder import TorchRecorder as Recorder
  else:
    from official.parity.recorders.keras_recorder import KerasRecorder as Recorder
  with tempfile.TemporaryDirectory() as directory:
    header = Header("candidate", "", {}, "", 0)
    with RecordingWriter(Path(directory) / "recording", header) as writer:
      proofs = Recorder(side).record(batch, writer)
    size = (Path(directory) / "recording").stat().st_size / 1e9
  for proof in proofs:
    print(f"{size:.1f} GB; {proof.sentence}", file=sys.stderr)
    if not proof.holds:
      raise SystemExit(proof.sentence)


if __name__ == "__main__":
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--network", choices=_MAKERS)
  parser.add_argument("--kind")
  args = parser.parse_args()
  _run(args.network, args.kind) if args.network else main()
