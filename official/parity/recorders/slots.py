"""Names of optimizer slots that say the same in PyTorch and in Keras."""

TORCH: dict[str, str] = {
  "momentum_buffer": "momentum",
  "exp_avg": "m",
  "exp_avg_sq": "v",
  "max_exp_avg_sq": "vhat",
  "square_avg": "rms",
  "sum": "accumulator",
}

# Attributes of tf_keras' newer optimizers; the older ones name their slots as we do.
KERAS: dict[str, str] = {
  "RMSprop._velocities": "rms",
  "RMSprop._momentums": "momentum",
  "momentums": "momentum",
  "_momentums": "m",
  "_velocities": "v",
  "_velocity_hats": "vhat",
  "_accumulators": "accumulator",
}
