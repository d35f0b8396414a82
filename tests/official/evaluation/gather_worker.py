"""A worker of two: evaluates every second image, and prints the figures of all."""

import json
import sys

import tensorflow as tf

from official.evaluation.gathering import merge_workers
from tests.official.evaluation.parts import evaluators


def main(worker: int) -> None:
  cpu = tf.config.list_physical_devices("CPU")[0]
  tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
  with tf.distribute.MultiWorkerMirroredStrategy().scope():
    parts = evaluators(range(worker, 7, 2))
    for part in parts:
      merge_workers(part)
  print(json.dumps([part.evaluate() for part in parts]))


main(int(sys.argv[1]))
