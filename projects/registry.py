"""Registers every project's experiments, by importing them."""

import projects.yolo.configs.yolo  # noqa: F401
