"""Files that transformers writes and reads, with the networks' outputs."""

import json

import numpy as np
import pytest
import tensorflow as tf
import torch
from safetensors.numpy import load_file
from transformers import (
  DetrConfig,
  MaskFormerConfig,
  MaskFormerForInstanceSegmentation,
  MaskFormerSwinConfig,
  ResNetConfig,
)

from official.serving import foreign
from projects.maskformer.checkpoints.foreign import foreign_files
from projects.maskformer.modeling.factory import build_maskformer
from projects.maskformer.modeling.variants import SwinSizes
from tests.projects.maskformer.checkpoints.conftest import CLASSES, SMALL

STAGES = [f"stage{index}" for index in range(1, 5)]


def _backbone(sizes):
  if isinstance(sizes, SwinSizes):
    return MaskFormerSwinConfig(
      embed_dim=sizes.width,
      depths=list(sizes.depths),
      num_heads=list(sizes.heads),
      window_size=sizes.window,
      out_features=STAGES,
    )
  return ResNetConfig(
    embedding_size=sizes.stem,
    hidden_sizes=list(sizes.filters),
    depths=list(sizes.depths),
    out_features=STAGES,
  )


def _config(variant):
  sizes = SMALL[variant]
  decoder = DetrConfig(
    d_model=sizes.width,
    decoder_layers=sizes.decoder_layers,
    decoder_ffn_dim=sizes.hidden,
    decoder_attention_heads=sizes.heads,
    num_queries=sizes.queries,
  )
  return MaskFormerConfig(
    backbone_config=_backbone(sizes.backbone),
    decoder_config=decoder,
    fpn_feature_size=sizes.width,
    mask_feature_size=sizes.width,
    num_labels=CLASSES,
  )


def _draw(network):
  """No two numbers are alike, and no scale is 1: nothing that is left out or swapped can hide."""
  generator = torch.Generator().manual_seed(0)
  with torch.no_grad():
    for name, tensor in network.state_dict().items():
      if tensor.is_floating_point() and not name.startswith("criterion"):
        noise = torch.randn(tensor.shape, generator=generator)
        positive = name.endswith("running_var")
        tensor.copy_(tensor + (0.2 * noise.abs() if positive else 0.05 * noise))
  return network.eval()


@pytest.fixture(scope="module", params=["small_resnet", "small_swin"])
def variant(request):
  return request.param


@pytest.fixture(scope="module")
def theirs(variant):
  torch.manual_seed(0)
  return _draw(MaskFormerForInstanceSegmentation(_config(variant)))


@pytest.fixture(scope="module")
def saved(theirs, tmp_path_factory):
  folder = tmp_path_factory.mktemp("saved")
  theirs.save_pretrained(folder)
  return folder


@pytest.fixture(scope="module")
def ours(variant, saved, make_task):
  task = make_task(variant)
  model = build_maskformer(task.model)
  foreign.load(model, str(saved / "model.safetensors"), foreign_files(task))
  return model


def _check_outputs(network, model):
  images = np.random.default_rng(2).standard_normal((1, 64, 96, 3)).astype(np.float32)
  with torch.no_grad():
    expected = network(torch.from_numpy(images.transpose(0, 3, 1, 2)))
  found = model(tf.constant(images), training=False)
  pairs = (("class_queries", "class"), ("masks_queries", "mask"))
  for their, our in pairs:
    logits = expected[f"{their}_logits"].numpy()
    scale = np.abs(logits).max()
    assert logits.std() > 0.05
    np.testing.assert_allclose(found[f"{our}_logits"], logits, rtol=0, atol=2e-5 * scale)


def test_outputs_are_equal_after_import(theirs, ours):
  _check_outputs(theirs, ours)


def test_export_is_bit_for_bit_what_was_imported(variant, saved, ours, make_task, tmp_path):
  path = tmp_path / "model.safetensors"
  count = foreign.save(ours, path, foreign_files(make_task(variant)), "transformers")
  expected, found = load_file(saved / "model.safetensors"), load_file(path)
  assert count == len(expected)
  assert sorted(found) == sorted(expected)
  unused = "encoder.model.layernorm."  # Swin's last normalization, on which nothing depends.
  for name, array in expected.items():
    assert found[name].dtype == array.dtype, name
    if unused not in name:
      np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_their_own_loader_takes_the_export(variant, saved, ours, make_task, tmp_path):
  foreign.save(
    ours, tmp_path / "model.safetensors", foreign_files(make_task(variant)), "transformers"
  )
  (tmp_path / "config.json").write_text((saved / "config.json").read_text())
  assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "maskformer"
  loaded, report = MaskFormerForInstanceSegmentation.from_pretrained(
    tmp_path, output_loading_info=True
  )
  assert not any(report.values()), report
  _check_outputs(loaded.eval(), ours)
  assert loaded.criterion.empty_weight.tolist() == pytest.approx([1.0] * CLASSES + [0.1])


def test_networks_that_transformers_lacks(make_task):
  for variant in ("r101c", "r50_encoder", "per_pixel_r50", "per_pixel_plus_r50"):
    names = [scheme.name for scheme in foreign_files(make_task(variant)).schemes]
    assert names == ["facebookresearch", "ImageNet"]
