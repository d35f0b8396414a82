"""What it costs to compare a whole network: YOLOv4-csp, 52.9 M parameters, one image of 640².

Forward, losses and gradients in float64, all layers: both sides recorded, paired, judged end to end
and layer by layer. The bar for 45 M parameters is 4 minutes and 10 GB on two cores.
"""

import resource
import time

from official.cli.app import run


def main() -> int:
  """Prints pairs, seconds, CPU seconds and peak memory."""
  from official.cli.app import prepare_tensorflow

  prepare_tensorflow()
  from official.parity import session
  from projects.yolo.reference.cases import parity_cases

  case = parity_cases(input_size=640, images=1)["v4-csp"]
  wall, cpu = time.perf_counter(), time.process_time()
  result = session.run(case, stages=("structure", "forward", "loss", "gradients"))
  wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
  pairs = sum(len(stage.findings) for stage in result.stages)
  same = "same" if result.same else "NOT the same"
  print(f"v4-csp, 640²: {same}, {pairs} pairs, {wall:.0f} s, {cpu:.0f} CPU s, {peak:.2f} GB")
  return 0 if result.same else 1


if __name__ == "__main__":
  run(main)
