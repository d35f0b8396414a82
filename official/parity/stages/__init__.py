"""What each stage of a run compares, and whom it blames."""
