"""The demo's page and figures, from what its run left on disk."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

import projects.registry  # noqa: F401
from official.cli.files import write_file
from official.evaluation.coco import METRICS
from official.reports.boxes import Box, detections_to_boxes, draw_boxes
from official.reports.curves import Curve, draw_curves, read_scalars
from official.reports.page import Page
from official.serving import image_files
from official.serving.run_folder import RunFolder
from official.training import settings
from projects.yolo.serving.detector import YoloDetector

EXPERIMENT = "yolo_v4_tiny_shapes"
_PICTURES = 12
_SCORE = 0.3


def write_page(output: Path, seconds: float, command: str) -> dict[str, float]:
  """Writes `index.html` and `metrics.json` into `output`.

  Args:
    output: folder of the demo, with `data` and `run`.
    seconds: that making the data, training and evaluating took.
    command: what was run, for the reader.

  Returns:
    The metrics of the last evaluation: COCO's figures on the held-out images.
  """
  curves = read_scalars(output / "run/validation")
  metrics = {name: float(curves[name][1][-1]) for name in METRICS}
  steps = int(curves["AP"][0][-1])
  figures = {"metrics": metrics, "steps": steps, "seconds": round(seconds, 1)}
  write_file(output / "metrics.json", json.dumps(figures, indent=2).encode() + b"\n")
  page = Page("YOLOv4-tiny on the built-in shapes")
  headline = f"AP50 {metrics['AP50']:.3f} · AP {metrics['AP']:.3f}"
  page.paragraph(f"{headline} on held-out images, {steps:,} steps, {seconds:.0f} s", "big")
  _add_curves(page, read_scalars(output / "run/train"), curves)
  page.heading("Metrics")
  page.table(["COCO figure", "value"], [(name, value) for name, value in metrics.items()])
  page.heading("Held-out images: ground truth left, detections right")
  page.images(_pictures(output))
  page.heading("Configuration")
  page.code(command)
  page.code((output / "run/params.yaml").read_text())
  write_file(output / "index.html", page.render().encode())
  return metrics


def _add_curves(page: Page, train: dict[str, Curve], validation: dict[str, Curve]) -> None:
  page.heading("Training")
  losses = {"training": train["training_loss"], "held out": validation["validation_loss"]}
  page.svg(draw_curves(losses, "loss"), "Loss: the sum of its three terms")
  terms = {name: train[name] for name in ("box_loss", "objectness_loss", "class_loss")}
  page.svg(draw_curves(terms, "loss term"), "Its terms, in training")
  figures = {name: validation[name] for name in ("AP50", "AP75", "AP")}
  page.svg(draw_curves(figures, "AP", (0, 1)), "Average precision on held-out images")
  page.svg(draw_curves({"learning rate": train["learning_rate"]}, "learning rate"), "Learning rate")


def _pictures(output: Path) -> Iterator[tuple[Image.Image, str]]:
  """Ground truth beside detections, for the first of the held-out images."""
  truth = json.loads((output / "data/annotations/instances_val.json").read_bytes())
  rows = truth["images"][:_PICTURES]
  images = [image_files.read(output / "data/images/val" / row["file_name"]) for row in rows]
  names = [category["name"] for category in truth["categories"]]
  found = _detector(RunFolder(str(output / "run"))).detect(images)
  for row, image, detections in zip(rows, images, found, strict=True):
    boxes = detections_to_boxes(detections, names, _SCORE)
    wanted = draw_boxes(image, _truth_boxes(truth, row["id"]))
    yield _beside(wanted, draw_boxes(image, boxes)), row["file_name"]


def _truth_boxes(truth: dict[str, Any], image_id: int) -> list[Box]:
  names = {category["id"]: category["name"] for category in truth["categories"]}
  index = {category: place for place, category in enumerate(names)}
  return [
    Box(_corners(item["bbox"]), index[item["category_id"]], names[item["category_id"]])
    for item in truth["annotations"]
    if item["image_id"] == image_id
  ]


def _detector(run: RunFolder) -> YoloDetector:
  """The network of the last evaluation: the end of training, with averaged weights."""
  path, values = run.settings()
  params = settings.experiment(EXPERIMENT)
  settings.override(params, values, path)
  return YoloDetector(params.task, run.checkpoint(best=""), _PICTURES)


def _corners(box: list[float]) -> tuple[float, float, float, float]:
  left, top, width, height = box
  return top, left, top + height, left + width


def _beside(left: Image.Image, right: Image.Image, gap: int = 8) -> Image.Image:
  both = Image.new("RGB", (left.width + gap + right.width, left.height), "white")
  both.paste(left, (0, 0))
  both.paste(right, (left.width + gap, 0))
  return both
