"""Proves without a TPU that an experiment's step compiles and fits on one.

lower → compile → budget → report. Only here is jax imported; this package knows no project.
"""
