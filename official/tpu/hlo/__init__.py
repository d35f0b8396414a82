"""Reads XLA's programs as text: instructions, shapes with layouts, what they compute and move."""
