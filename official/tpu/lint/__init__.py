"""Finds in a traced step, without compiling it, what a TPU cannot run or runs badly."""
