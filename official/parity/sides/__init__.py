"""The two sides of a run: the original, or its recording, and the candidate."""
