"""Writes what an evaluation reports to TensorBoard: scalars, and pictures under `image/…`."""

from typing import Any

import orbit
import tensorflow as tf

_MAX_IMAGES = 20


class SummaryManager(orbit.utils.SummaryManager):
  """Orbit's summary manager for scalars, and for uint8 or float images [n, h, w, c].

  A value whose name begins with `image/` is written as images, as TFMG does with
  `task.allow_image_summary`; everything else is a scalar.

  Args:
    directory: where event files go; None writes nothing.
    global_step: the step variable.
  """

  def __init__(self, directory: str | None, global_step: tf.Variable) -> None:
    super().__init__(directory, _summarize, global_step)


def _summarize(name: str, value: Any, step: tf.Variable) -> None:
  if name.startswith("image/"):
    tf.summary.image(name, value, step, max_outputs=_MAX_IMAGES)
  else:
    tf.summary.scalar(name, value, step)
