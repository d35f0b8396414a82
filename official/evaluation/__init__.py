"""Metrics on the host, by the field's own definitions."""
