"""Foreign weights: read safely as named arrays, renamed by rules, transferred strictly."""
