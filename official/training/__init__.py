"""Training on Orbit: exact resume, exact weight averages, honest stops, one-line errors."""
