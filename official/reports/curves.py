"""Curves of a run: scalars from its event files, drawn."""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

Curve = tuple[np.ndarray, np.ndarray]


def read_scalars(directory: Path) -> dict[str, Curve]:
  """Scalars that Orbit wrote for TensorBoard.

  Args:
    directory: of event files; all of them are read, since a resumed run begins a new one.

  Returns:
    Steps [n] ascending and values [n] by tag; of two values at a step, the later one written.
  """
  from tensorboard.backend.event_processing import event_file_loader
  from tensorboard.util import tensor_util

  points: dict[str, dict[int, float]] = {}
  for path in sorted(directory.glob("events.out.tfevents.*")):
    for event in event_file_loader.EventFileLoader(str(path)).Load():
      for value in event.summary.value:
        if value.metadata.plugin_data.plugin_name == "scalars":
          number = float(tensor_util.make_ndarray(value.tensor))
          points.setdefault(value.tag, {})[event.step] = number
  return {tag: _curve(by_step) for tag, by_step in points.items()}


def _curve(by_step: Mapping[int, float]) -> Curve:
  steps = sorted(by_step)
  return np.array(steps), np.array([by_step[step] for step in steps])


def draw_curves(curves: Mapping[str, Curve], ylabel: str, limits: Iterable[float] = ()) -> bytes:
  """One set of axes with every curve in it, as SVG.

  Args:
    curves: steps and values by label.
    ylabel: of the vertical axis.
    limits: its ends; empty to fit the values.
  """
  from matplotlib.figure import Figure

  figure = Figure(figsize=(5.4, 3.2), layout="constrained")
  axes = figure.subplots()
  for label, (steps, values) in curves.items():
    axes.plot(steps, values, label=label, marker="o" if len(steps) < 30 else None, markersize=3)
  axes.set(xlabel="step", ylabel=ylabel)
  if limits := tuple(limits):
    axes.set_ylim(*limits)
  axes.grid(alpha=0.3)
  if len(curves) > 1:
    axes.legend()
  target = io.BytesIO()
  figure.savefig(target, format="svg", metadata={"Date": None})
  return target.getvalue()
