"""Weights of parity's networks, by a rule that needs nothing but names and shapes.

Recordings need not carry 180 MB of weights: both sides make them. Nothing is 0, 1 or equal to
another, so that no term hides; kernels keep the variance of what passes them, so that no depth
hides what comes before it; and the 100 queries stay apart, which they do not under weights of
gain 1 (a test on queries that are all alike sees nothing).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from projects.maskformer.reference.numbers import symmetric, uniform

_GAINS = {  # Of matrices and kernels, by the end of their names; the first that fits.
  "query_embed.weight": 32.0,  # Of width 256: twice PyTorch's own.
  "queries_embedder.weight": 32.0,
  "relative_position_bias_table": 2.0,
  "in_proj_weight": 2.5,  # Attention that sees differences …
  "q_proj.weight": 2.5,
  "k_proj.weight": 2.5,
  "v_proj.weight": 2.5,
  "self_attn.out_proj.weight": 0.2,  # … and does not average them away.
  "self_attn.o_proj.weight": 0.2,
  "out_proj.weight": 0.6,
  "o_proj.weight": 0.6,
  "mask_embed.layers.2.weight": 0.4,  # Probabilities of masks are neither 0 nor 1.
  "mask_embedder.2.0.weight": 0.4,
  "": 1.25,
}
_SCALES = {  # Means of scales.
  "conv3.norm.weight": 0.5,  # What bottlenecks add: 16 of them do not explode.
  "layer.2.normalization.weight": 0.5,
  "": 1.0,
}
_SPREAD = 0.2  # Of scales about their mean.
_SHIFT = 0.05


def draw(shapes: Mapping[str, Sequence[int]], seed: int) -> dict[str, np.ndarray]:
  """Values for parameters and statistics.

  Args:
    shapes: by name, as PyTorch lays them out.
    seed: other seeds, other values.

  Returns:
    float64 arrays, the same bits on every machine; each depends on its own name and shape alone.
  """
  return {name: _drawn(name, tuple(shape), seed) for name, shape in shapes.items()}


def _drawn(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
  if name.endswith("running_var"):
    return 0.5 + uniform(shape, seed, name)
  noise = symmetric(shape, seed, name)
  if len(shape) > 1:
    return _of(name, _GAINS) * noise / np.sqrt(np.prod(shape[1:]))
  if name.endswith("weight"):
    return _of(name, _SCALES) * (1 + _SPREAD * noise)
  return _SHIFT * noise


def _of(name: str, table: Mapping[str, float]) -> float:
  return next(value for end, value in table.items() if name.endswith(end))
