"""From a paper to a release: stages, gates, and the evidence that gates passed."""
