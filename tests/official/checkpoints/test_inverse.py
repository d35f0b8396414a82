"""Shapes told backwards, against the transforms themselves."""

import numpy as np
import pytest

from official.checkpoints import inverse, transforms
from official.checkpoints.axes import Misfit
from official.checkpoints.rules import Ignore, Rule
from official.cli.errors import UserError


@pytest.mark.parametrize(
  ("text", "source", "target"),
  [
    ("", (7,), (7,)),
    ("identity", (3, 3), (3, 3)),
    ("conv", (8, 4, 3, 5), (3, 5, 4, 8)),
    ("conv_transpose", (8, 4, 3, 5), (3, 5, 4, 8)),
    ("depthwise:2", (6, 1, 3, 3), (3, 3, 3, 2)),
    ("linear", (8, 4), (4, 8)),
    ("linear_as_conv", (8, 4), (1, 1, 4, 8)),
    ("conv_as_linear", (8, 4, 1, 1), (4, 8)),
    ("heads_out:2", (3, 8), (3, 2, 4)),
    ("linear|heads_out:2", (8, 3), (3, 2, 4)),
    ("qkv:1/3|linear", (12, 5), (5, 4)),
    ("split:1-3/4@1", (2, 8), (2, 6)),
    ("order:1,0@0|linear", (4, 6), (6, 4)),
    ("linear|merge:2/3", (4, 6), (6, 12)),
    ("(h w) n -> h w n; h=3, w=3", (9, 5), (3, 3, 5)),
  ],
)
def test_the_source_is_what_the_transform_takes(text, source, target):
  transform = transforms.parse(text)
  assert inverse.source_shape(transform, target) == source
  if text:
    fit = transform.fit(source, target)
    array = np.random.default_rng(0).random(source)
    assert fit.placed(np.zeros(target)).shape == fit.forward(fit.taken(array)).shape


@pytest.mark.parametrize(
  ("text", "target", "why"),
  [
    ("a b -> (a b)", (12,), "leaves the lengths of a, b open"),
    ("linear_as_conv", (2, 1, 4, 8), "wants an axis of 1, not of 2"),
    ("split:0-1/4", (3,), "axis 0 of .3. is not 2 equal pieces"),
    ("qkv:0/3@2", (3,), "axis 2 of .3."),
  ],
)
def test_shapes_that_say_too_little_are_refused(text, target, why):
  with pytest.raises(Misfit, match=why):
    inverse.source_shape(transforms.parse(text), target)


def test_names_and_pieces():
  rules = (
    Ignore("steps", "of training"),
    Rule("layer{s+1}.{i}.weight", "stage{s}/block{i}/kernel", "conv"),
    *(
      Rule("attn.qkv.weight", f"attention/{name}/kernel", f"qkv:{index}/3|linear")
      for index, name in enumerate(("query", "key", "value"))
    ),
  )
  attention = {f"attention/{name}/kernel": (5, 4) for name in ("query", "key", "value")}
  targets = {"stage0/block12/kernel": (3, 3, 4, 8), "unknown": (1,), **attention}
  assert inverse.parameters(rules, targets) == {
    "layer1.12.weight": (8, 4, 3, 3),
    "attn.qkv.weight": (12, 5),
  }


def test_rules_that_cannot_be_undone_are_named():
  with pytest.raises(UserError, match=r"rule for 'w': 'kernel' .12.: 'a b -> .a b.' backwards"):
    inverse.parameters((Rule("w", "kernel", "a b -> (a b)"),), {"kernel": (12,)})
  with pytest.raises(UserError, match="field 'i'"):
    inverse.parameters((Rule("w{i}", "kernel"),), {"kernel": (12,)})
