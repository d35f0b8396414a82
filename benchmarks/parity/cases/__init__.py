"""Parity cases: modules of transformers, with random weights, against the blocks."""
