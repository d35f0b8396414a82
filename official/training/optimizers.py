"""Optimizers and learning rates that TFMG lacks, under names that a configuration can choose."""

import dataclasses

from official.modeling import hyperparams, optimization
from official.modeling.optimization import optimizer_factory
from official.modeling.optimization.configs import optimization_config, optimizer_config
from official.training import schedules
from official.training.adamw import AdamW
from official.training.sgd import SGD


@dataclasses.dataclass
class SGDConfig(optimizer_config.SGDConfig):
  """Of `official.training.sgd.SGD`, whose arguments these are."""

  warmup_steps: int = 0
  warmup_momentum: float = 0.0
  warmup_bias_rate: float = 0.0


@dataclasses.dataclass
class AdamWConfig(optimizer_config.BaseOptimizerConfig):
  """Of `official.training.adamw.AdamW`, whose arguments these are."""

  name: str = "AdamW"
  weight_decay: float = 0.01
  clip_norm: float = 0.0
  beta_1: float = 0.9
  beta_2: float = 0.999
  epsilon: float = 1e-8


@dataclasses.dataclass
class PolyConfig(hyperparams.Config):
  """Of `official.training.schedules.Poly`, whose arguments these are."""

  initial_learning_rate: float = 1e-3
  decay_steps: int = 1
  power: float = 0.9


@dataclasses.dataclass
class StepsConfig(hyperparams.Config):
  """Of `official.training.schedules.Steps`, whose arguments these are."""

  initial_learning_rate: float = 1e-3
  boundaries: list[int] = dataclasses.field(default_factory=list)
  factor: float = 0.1


@dataclasses.dataclass
class ProductWarmupConfig(hyperparams.Config):
  """Of `official.training.schedules.ProductWarmup`, whose arguments these are."""

  warmup_steps: int = 1
  factor: float = 0.001


@dataclasses.dataclass
class OptimizerConfig(optimization_config.OptimizerConfig):
  """TFMG's choice of optimizers; `SGD` as `sgd_torch`, and `AdamW` as `adamw_torch`."""

  sgd_torch: SGDConfig = dataclasses.field(default_factory=SGDConfig)
  adamw_torch: AdamWConfig = dataclasses.field(default_factory=AdamWConfig)


@dataclasses.dataclass
class LrConfig(optimization_config.LrConfig):
  """TFMG's choice of learning rates; `Poly` as `poly`, and `Steps` as `steps`."""

  poly: PolyConfig = dataclasses.field(default_factory=PolyConfig)
  steps: StepsConfig = dataclasses.field(default_factory=StepsConfig)


@dataclasses.dataclass
class WarmupConfig(optimization_config.WarmupConfig):
  """TFMG's choice of warm-ups, and `ProductWarmup` as `product`."""

  product: ProductWarmupConfig = dataclasses.field(default_factory=ProductWarmupConfig)


@dataclasses.dataclass
class OptimizationConfig(optimization.OptimizationConfig):
  """TFMG's optimization, with the larger choice of all three."""

  optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
  learning_rate: LrConfig = dataclasses.field(default_factory=LrConfig)
  warmup: WarmupConfig = dataclasses.field(default_factory=WarmupConfig)


optimization.register_optimizer_cls("sgd_torch", SGD)
optimization.register_optimizer_cls("adamw_torch", AdamW)
# TFMG has no function to register these.
optimizer_factory.LR_CLS.update(poly=schedules.Poly, steps=schedules.Steps)
optimizer_factory.WARMUP_CLS.update(product=schedules.ProductWarmup)
