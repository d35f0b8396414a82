"""The whole way in one command: data, training, evaluation, and a page that shows them."""

import subprocess
import sys
import time
from pathlib import Path

from official.cli import app
from official.cli.arguments import Parser
from official.cli.errors import UserError

_EXPERIMENT = "yolo_v4_tiny_shapes"
_EXAMPLES = """\
  python -m tools.demo
  python -m tools.demo --output runs/again --seed 1
  python -m tools.demo --output runs/quick --train 64 --val 16 --steps 20"""


def main() -> int:
  """Makes shapes, trains YOLOv4-tiny on them, and writes the page."""
  parser = Parser("Train YOLOv4-tiny on the built-in shapes and show the result.", _EXAMPLES)
  parser.add_argument("--output", type=Path, default=Path("runs/demo"), help="[runs/demo]")
  parser.add_argument("--seed", type=int, default=0, help="of data, weights and order [0]")
  parser.add_argument("--train", type=int, default=6000, help="training images [6000]")
  parser.add_argument("--val", type=int, default=300, help="held-out images [300]")
  parser.add_argument("--steps", type=int, help="training steps [the experiment's]")
  args = parser.parse_args()
  data, run = args.output / "data", args.output / "run"
  began = time.monotonic()
  _call("tools.prepare_data", *_data_arguments(args.train, args.val, args.seed, data))
  command = _train_command(data, run, args.seed, args.steps)
  _call("train", *command)
  seconds = time.monotonic() - began

  from tools.demo_page import write_page

  metrics = write_page(args.output, seconds, " \\\n    ".join(["python train.py", *command]))
  print(f"AP {metrics['AP']:.3f}, AP50 {metrics['AP50']:.3f} after {seconds:.0f} s")
  print(f"open {args.output / 'index.html'}; figures are in {args.output / 'metrics.json'}")
  return 0


def _data_arguments(train: int, val: int, seed: int, data: Path) -> list[str]:
  numbers = {"--train": train, "--val": val, "--size": 128, "--seed": seed}
  return ["shapes", "--output", str(data), *(str(x) for pair in numbers.items() for x in pair)]


def _train_command(data: Path, run: Path, seed: int, steps: int | None) -> list[str]:
  settings = {
    "task.train_data.input_path": f"{data}/train-*.tfrecord",
    "task.train_data.seed": seed,
    "task.validation_data.input_path": f"{data}/val-*.tfrecord",
  }
  if steps:
    settings |= {
      "trainer.train_steps": steps,
      "trainer.validation_interval": steps,
      "trainer.optimizer_config.learning_rate.cosine.decay_steps": steps,
    }
  return [
    f"--experiment={_EXPERIMENT}",
    "--mode=train_and_eval",
    f"--model_dir={run}",
    "--params_override=" + ",".join(f"{key}={value}" for key, value in settings.items()),
  ]


def _call(module: str, *arguments: str) -> None:
  """Runs one of our commands as a user would; its output is ours."""
  code = subprocess.run([sys.executable, "-m", module, *arguments], check=False).returncode
  if code:
    raise UserError(f"{module.replace('.', '/')}.py failed with exit code {code}; see above")


if __name__ == "__main__":
  app.run(main)
