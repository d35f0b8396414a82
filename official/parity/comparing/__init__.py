"""What belongs together, and whether it is the same."""
