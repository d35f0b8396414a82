"""Figures of two workers with two devices each are those of one that has seen all images."""

import json
import os
import socket
import subprocess
import sys

from tests.official.evaluation.parts import evaluators


def test_two_workers_have_the_figures_of_one():
  expected = [part.evaluate() for part in evaluators(range(7))]
  assert [part.evaluate() for part in evaluators(range(0, 7, 2))] != expected
  with socket.create_server(("localhost", 0)) as one, socket.create_server(("localhost", 0)) as two:
    hosts = [f"localhost:{server.getsockname()[1]}" for server in (one, two)]
  workers = [_start(hosts, index) for index in range(2)]
  for worker in workers:
    output, log = worker.communicate(timeout=100)
    assert worker.returncode == 0, log
    assert json.loads(output.splitlines()[-1]) == expected


def _start(hosts: list[str], index: int) -> subprocess.Popen:
  cluster = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
  return subprocess.Popen(
    [sys.executable, "-m", "tests.official.evaluation.gather_worker", str(index)],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    env={**os.environ, "TF_CONFIG": json.dumps(cluster)},
  )
