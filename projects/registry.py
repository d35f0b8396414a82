"""Registers every project's experiments and tasks, by importing them."""

import projects.maskformer.configs.experiments
import projects.maskformer.tasks.maskformer
import projects.yolo.configs.classification
import projects.yolo.configs.experiments
import projects.yolo.configs.shapes
import projects.yolo.tasks.yolo  # noqa: F401
