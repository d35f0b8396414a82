"""Which hypotheses are tried, and in what order.

A hypothesis is one function `(subject) -> Iterator[Trial]`: it looks at the traced program for what
it knows to go wrong and yields one trial for each place and way. To add one:

    def attention_scale(subject: Subject) -> Iterator[Trial]:
      for node in subject.program.of_type("Softmax"):
        edit = {node.index: lambda inputs, look: [tf.nn.softmax(inputs[0] * 0.125)]}
        yield subject.trial("attention_scale", "scores are multiplied by 1, not by 0.125", edit)

and name it in `FORWARD` (or `BACKWARD`). Order there is rank: the tiers run from what names one
operation to what would fit many defects, and the search ends with the first tier that closes the
gap. Causes come from `causes.CAUSES`. A trial counts only if its outputs, computed with nothing but
that change, are the original's within the limit; the others are reported as what they are.
"""

from official.parity.diagnosis.hypotheses import (
  activations,
  attention,
  convolution,
  gradients,
  inputs,
  layers,
  layout,
  losses,
  masks,
  modes,
  normalization,
  outputs,
  pooling,
  resampling,
  scalars,
  weights,
  windows,
  wiring,
)
from official.parity.diagnosis.search import Hypothesis

FORWARD: tuple[tuple[Hypothesis, ...], ...] = (
  (  # One operation's own number or attribute.
    normalization.epsilon,
    activations.slope,
    activations.gelu_form,
    modes.precise,
    modes.dropout,
    modes.other_mode,
    normalization.statistics,
    attention.softmax_axis,
    attention.scale_constant,
    convolution.padding,
    convolution.pad_operations,
    convolution.stride_or_dilation,
    pooling.pooling,
    pooling.reductions,
    resampling.resized,
    windows.shift,
    windows.unshifted,
    windows.mask_missing,
    masks.polarity,
    attention.qkv_order,
    wiring.concat_order,
  ),
  (  # One operation, layer or weight too many, too few, or in another's place.
    weights.elsewhere,
    weights.swapped,
    weights.rotated,
    layers.extra,
    layers.missing,
    layers.norm_first,
    layers.order,
    activations.other,
    weights.bias,
    weights.bias_missing,
    masks.extra,
    normalization.extra,
    wiring.residual,
    masks.missing,
    attention.scale_missing,
    activations.missing,
    normalization.missing,
  ),
  (  # The right operations on values in another order.
    weights.transposed,
    weights.flipped,
    weights.head_axes,
    wiring.part_order,
    layout.cut_order,
    layout.joined_unturned,
    inputs.channels,
    inputs.exchanged,
    weights.permuted,
    normalization.axes,
    layout.axes_swapped,
    inputs.axes,
  ),
  (  # Numbers.
    scalars.positions,
    scalars.constants,
    inputs.scale,
    outputs.factor,
    outputs.offset,
    scalars.inserted,
  ),
  (  # Values taken from another place.
    layers.neighbours,
    layers.inner_value,
    layers.again,
    wiring.other_term,
    layers.fed_otherwise,
  ),
  (  # What the outputs alone tell.
    outputs.channel_order,
    outputs.axes,
    outputs.rounded,
    modes.dropped_by_original,
    outputs.per_channel,
  ),
)


BACKWARD: tuple[tuple[Hypothesis, ...], ...] = (
  (gradients.frozen, gradients.let_through),
  (gradients.factor, gradients.clipped),
  (gradients.stopped, gradients.own_gradient),
)


LOSS: tuple[tuple[Hypothesis, ...], ...] = (
  (masks.polarity, gradients.let_through, losses.reductions, losses.ratios_of_sums),
  (losses.constants, losses.class_weights),
  (losses.forms, activations.other, masks.extra, gradients.stopped),
  (losses.factors, losses.totals, losses.class_weights_missing),
  (losses.inserted_forms, losses.labels, attention.softmax_axis),
)
