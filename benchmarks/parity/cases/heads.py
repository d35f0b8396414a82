"""MaskFormer's mask head on its own: an MLP of three projections."""

from transformers.models.maskformer.modeling_maskformer import MaskformerMLPPredictionHead

from benchmarks.parity.cases.block import Block, regression
from projects.maskformer.modeling.heads import MlpHead
from projects.maskformer.reference.correspondence import Same, excuses

_INPUT, _HIDDEN, _OUTPUT = 18, 24, 10

MLP_HEAD = (Same("{i}.0", "fc{i}", "linear"), Same("", ""))
_DEPTH = 3
EXCUSES = {
  **{
    f"{i}.1": "the rectifier, inside our head, seen by the next projection" for i in range(_DEPTH)
  },
  **{f"{i}": "hands on what its last step returns" for i in range(_DEPTH)},
}


def mlp_head(queries: int = 5) -> Block:
  """The head on some queries."""
  return Block(
    name="mlp_head",
    module=lambda: MaskformerMLPPredictionHead(_INPUT, _HIDDEN, _OUTPUT),
    layer=lambda: MlpHead(_HIDDEN, _OUTPUT),
    forward=lambda module, batch: module(batch["queries"]),
    call=lambda layer, batch, training: layer(batch["queries"]),
    table=MLP_HEAD,
    batch=lambda generator: {
      "queries": generator.standard_normal([2, queries, _INPUT]),
      "target0": generator.standard_normal([2, queries, _OUTPUT]),
    },
    losses=regression(1),
    excuses=excuses("", EXCUSES),
  )
