"""The five stages, and the gates that every project must pass to leave each.

The stages are those of Banna et al., An Experience Report on Machine Learning Reproducibility
(arXiv 2107.00821), and their gates its exit criteria. Where a defect sends one back is after
Jiang et al., Challenges and Practices of Deep Learning Model Reengineering (arXiv 2303.07476).
"""

import dataclasses

_TESTS = ("python -m pytest",)


@dataclasses.dataclass(frozen=True)
class Gate:
  """A check at the end of a stage.

  Attributes:
    name: under which projects bind a command to it; `name/variant` is one of several.
    asks: the question that it answers, in plain words.
    commands: how a command that may answer it begins; a project cannot choose another one.
    failing: what to suspect where it fails, and where that sends one back.
    follows: whether the answer is also about all code that the named one imports.
  """

  name: str
  asks: str
  commands: tuple[str, ...]
  failing: str
  follows: bool = True


@dataclasses.dataclass(frozen=True)
class Stage:
  """A part of the way.

  Attributes:
    number: from 1.
    title: of a few words.
    gates: which must pass, in the order in which they are best taken.
  """

  number: int
  title: str
  gates: tuple[Gate, ...]


STAGES = (
  Stage(
    1,
    "paper analysis",
    (
      Gate(
        "checklist",
        "are the 15 items of the paper, its licence and its claims written down?",
        ("python -m tools.workflow analysis",),
        "read the paper and the original's code again",
        follows=False,
      ),
    ),
  ),
  Stage(
    2,
    "garden interface",
    (
      Gate(
        "interface",
        "does the project register, build, and tell tools about itself?",
        _TESTS,
        "configs, task and dossier; an operation that cannot be had sends back to stage 1",
      ),
    ),
  ),
  Stage(
    3,
    "model engineering",
    (
      Gate(
        "model",
        "do layers and networks have the right shapes, gradients and values, saved ones too?",
        _TESTS,
        "the layer that is named; a missing sub-network sends back to stage 1",
      ),
      Gate(
        "loss",
        "does each term equal the original's, with its gradient?",
        _TESTS,
        "assignment first, then the terms one by one",
      ),
      Gate(
        "data",
        "does the pipeline show what the original's shows?",
        _TESTS,
        "operation by operation with its randomness fixed; look at pictures where figures fail",
      ),
      Gate(
        "checkpoints",
        "are the originals' weights read and written strictly?",
        _TESTS,
        "the weight map, then the layer whose variable is left over",
      ),
      Gate(
        "parity",
        "is the whole network with its training steps the original?",
        ("python -m tools.parity run",),
        "the first divergence that the report names: its layer, term or optimizer",
      ),
    ),
  ),
  Stage(
    4,
    "pre-release",
    (
      Gate(
        "style",
        "is the code in the house's style?",
        ("python -m ruff check",),
        "the lines that are named",
        follows=False,
      ),
      Gate(
        "serving",
        "do prediction and export say what the network says?",
        _TESTS,
        "post-processing; what differs before it sends back to stage 3",
      ),
      Gate(
        "resume",
        "does a run that was stopped end as an undisturbed one?",
        _TESTS,
        "seeds and state of the input pipeline",
      ),
      Gate(
        "tpu",
        "does the train step compile for a TPU, and fit?",
        ("python -m tools.tpu_check",),
        "the line that is named: dynamic shapes and operations send back to stage 3",
      ),
      Gate(
        "training",
        "do metrics behave on small data?",
        ("python -m tools.demo", "python -m benchmarks convergence", *_TESTS),
        "labels and loss, then the data: stage 3",
      ),
      Gate(
        "evaluation",
        "do the original's weights reach the claims?",
        ("python train.py",),
        "AP −1: preprocessing, post-processing; −5 and more: the model or its weights; stage 3",
      ),
    ),
  ),
  Stage(
    5,
    "release",
    (
      Gate(
        "trained",
        "does a training of our own reach the claims?",
        ("python train.py",),
        "compare metrics at a quarter of the training; then loss, then data: stage 3",
      ),
      Gate(
        "published",
        "are weights, SavedModel and demo published, with all the paper's metrics?",
        _TESTS,
        "what is missing",
      ),
    ),
  ),
)

GATES = {gate.name: gate for stage in STAGES for gate in stage.gates}
STAGE_OF = {gate.name: stage for stage in STAGES for gate in stage.gates}
