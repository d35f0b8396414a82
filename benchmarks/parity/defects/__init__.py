"""Mistakes that people make when they port, planted in candidates that are right without them."""
