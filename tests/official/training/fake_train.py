"""`train.py` with the experiment `fake` registered."""

import sys

import train
from official.cli import app


def run(argv):
  """Leaves the process with the exit code of `train.py`."""

  def main():
    import tests.official.training.fake  # noqa: F401

    return train.main(argv)

  app.run(main)


if __name__ == "__main__":
  run(sys.argv[1:])
