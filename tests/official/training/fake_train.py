"""`train.py` with the experiment `fake` registered."""

import functools
import sys

import train
from official.cli import app


def main(argv):
  import tests.official.training.fake  # noqa: F401

  return train.main(argv)


if __name__ == "__main__":
  app.run(functools.partial(main, sys.argv[1:]))
