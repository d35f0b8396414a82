"""Networks small enough for tests, under names of their own."""

import pytest

from projects.maskformer.configs.maskformer import MaskFormerTask
from projects.maskformer.configs.model import Model
from projects.maskformer.modeling.variants import VARIANTS, ResNetSizes, SwinSizes, Variant

CLASSES = 5
_SIZES = {"decoder_layers": 2, "queries": 20, "width": 64, "heads": 4, "hidden": 256}
_RESNET = ResNetSizes((1, 2, 1, 1), stem=32, filters=(64, 128, 256, 512))
_DEEP = ResNetSizes((1, 1), stem=128, filters=(64, 128), deep_stem=True)
_SWIN = SwinSizes(32, (1, 2, 1, 1), (1, 2, 4, 8), 7)
SMALL = {
  "small_resnet": Variant(_RESNET, **_SIZES),
  "small_swin": Variant(_SWIN, **_SIZES),
  "small_deep": Variant(_DEEP, **_SIZES),
  "small_plus": Variant(_DEEP, "per_pixel_plus", **(_SIZES | {"decoder_layers": 6})),
  "small_encoder": Variant(_RESNET, encoder_layers=2, **_SIZES),
}


@pytest.fixture(scope="module", autouse=True)
def _small_variants():
  VARIANTS.update(SMALL)
  yield
  for name in SMALL:
    del VARIANTS[name]


@pytest.fixture(scope="session")
def make_task():
  """A task of a variant."""

  def make(variant, classes=CLASSES, **settings):
    return MaskFormerTask(model=Model(variant=variant, num_classes=classes), **settings)

  return make
