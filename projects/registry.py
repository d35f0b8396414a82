"""Registers every project's experiments and tasks, by importing them."""

import projects.yolo.configs.experiments
import projects.yolo.tasks.yolo  # noqa: F401
