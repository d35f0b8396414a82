"""Groups of variables: those of the original, parameter by parameter."""

import pytest
import tf_keras

from projects.maskformer.configs.model import Model
from projects.maskformer.modeling import factory, variants
from projects.maskformer.tasks.roles import groups

SWIN = variants.Variant(
  variants.SwinSizes(32, (1, 1, 1, 1), (1, 1, 1, 1), 4), decoder_layers=1, width=32, hidden=32
)


@pytest.fixture(scope="module")
def swin():
  """A small Swin MaskFormer with an encoder layer."""
  variant = variants.dataclasses.replace(SWIN, encoder_layers=1)
  model = factory._mask(variant, Model(num_classes=3))
  model(tf_keras.Input([64, 64, 3]))
  return model


def test_norms_tables_and_query_positions_do_not_decay(swin):
  found = groups(swin, 0.1)
  assert len(found) == len(swin.trainable_variables)
  for variable in swin.trainable_variables:
    # By their names here, by their roles there.
    name = variable.name.split("/")[-1].split(":")[0]
    still = name in ("gamma", "beta", "relative_bias", "query_positions")
    assert found[variable.ref()].decays != still, variable.name


def test_the_backbone_alone_learns_slower(swin):
  found = groups(swin, 0.1)
  backbone = {variable.ref() for variable in swin.backbone.trainable_variables}
  assert {ref for ref, group in found.items() if group.multiplier == 0.1} == backbone
  assert {group.multiplier for ref, group in found.items() if ref not in backbone} == {1.0}
  assert 0 < len(backbone) < len(found)


def test_batch_norms_that_train_do_not_decay():
  config = Model(variant="tiny", num_classes=3, frozen_norm=False)
  model = factory.build_maskformer(config)
  found = groups(model, 1.0)
  norm = model.backbone.stem.convs[0].norm
  assert not any(found[variable.ref()].decays for variable in norm.trainable_variables)
  assert found[model.backbone.stem.convs[0].conv.kernel.ref()].decays
  frozen = factory.build_maskformer(Model(variant="tiny", num_classes=3))
  assert frozen.backbone.stem.convs[0].norm.gamma.ref() not in groups(frozen, 1.0)
