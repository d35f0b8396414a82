"""Names of what is recorded: phase/section/name.

  phase        sections
  batch        input: what both sides are given, in passes and at the first training step; step2, …:
               at those steps; image: what preprocessing is given
  init         parameter (trained), buffer (BatchNorm's statistics and the like)
  eval         output: of every tap, in inference mode; input: what calls were given that is no tap
               as it is ("<call>|<position>")
  train        output, input, loss (terms and "total"), upstream (gradient of the total with respect
               to a tap's output), gradient (with respect to a parameter), term_gradient
               ("<term>|<tap>": one term's gradient with respect to one of the network's own
               outputs), buffer (after the forward pass)
  step1, …     after that training step: loss, parameter, buffer, slot ("<parameter>|<slot>"),
               average (of a parameter), rate ("learning_rate"); step0: the state before
  preprocess   array: what the network would be given for a raw image
  postprocess  array: what is made of the network's outputs

A tap is named by its module's path ("backbone/c1/conv", "layers.0.conv"; "(model)" is the whole
network), with "#1" for its second call in a pass and ":2" or ":logits" for one of several outputs.
"""

from typing import NamedTuple, Self

ROOT = "(model)"
TOTAL = "total"


class Key(NamedTuple):
  """One recorded array; see the module's table."""

  phase: str
  section: str
  name: str

  def __str__(self) -> str:
    return "/".join(self)

  @classmethod
  def parse(cls, text: str) -> Self:
    """The inverse of `str`; raises ValueError where `text` is no key."""
    phase, section, name = text.split("/", 2)
    return cls(phase, section, name)


def tap_name(path: str, call: int = 0, leaf: str = "") -> str:
  """The tap of output `leaf` of the `call`-th call (from 0) of the module at `path`."""
  name = path or ROOT
  name += f"#{call}" if call else ""
  return f"{name}:{leaf}" if leaf else name


def step_phase(step: int) -> str:
  """The phase after training step `step`, counted from 1."""
  return f"step{step}"
