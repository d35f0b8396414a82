"""What kinds of defects there are: the taxonomy of 348 defects in model reengineering.

Jiang et al., Challenges and Practices of Deep Learning Model Reengineering (arXiv 2303.07476),
section 5 and its artifact.
"""

REPORTERS = ("re-user", "adaptor", "enhancer", "replicator")
MANIFESTATIONS = ("basic", "evolutionary", "reproducibility")
IMPACTS = (
  "speed below expectation",
  "accuracy below expectation",
  "numerical error",
  "crash",
  "data corruption",
  "hang",
  "incorrect functionality",
  "memory exhaustion",
  "other",
)
TYPES = (
  "algorithm",
  "assignment",
  "checking",
  "data",
  "external interface",
  "internal interface",
  "logic",
  "timing",
  "non-functional",
  "configuration",
  "other",
)
# Where a defect comes from: the part of the work, and what in it.
CAUSES = (
  "data/preprocessing",
  "data/corrupt data",
  "data/training data quality",
  "modeling/activation",
  "modeling/layer properties",
  "modeling/missing, redundant or wrong layer",
  "modeling/weights",
  "modeling/structure",
  "modeling/initialization",
  "training/optimizer",
  "training/loss",
  "training/evaluation",
  "training/hyper-parameters",
  "training/configuration",
  "environment/API",
  "environment/GPU",
  "environment/wrong configuration",
  "documentation",
)
SURFACES = ("environment", "data", "modeling", "training")
