"""From a run's folder and image files to predictions."""
