"""Recordings: what one side computed, as files."""
