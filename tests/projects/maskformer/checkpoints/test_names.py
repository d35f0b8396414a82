"""Names and shapes, against those of every network that the original's configurations build."""

import gzip
import json
import pathlib

import pytest
import tensorflow as tf

from official.checkpoints import inverse, patterns, schemes
from official.checkpoints.rules import Ignore
from official.checkpoints.transfer import TransferError
from official.parity.recorders.keras_names import buffer_names, parameter_names
from projects.maskformer.checkpoints.foreign import foreign_files
from projects.maskformer.checkpoints.identify import identify
from projects.maskformer.configs.maskformer import MaskFormerTask
from projects.maskformer.configs.model import Model
from projects.maskformer.modeling.factory import build_maskformer

RECORDED = {
  file: {name: tuple(shape) for name, shape in arrays.items()}
  for file, arrays in json.loads(
    gzip.decompress((pathlib.Path(__file__).parent / "names.json.gz").read_bytes())
  ).items()
}
NETWORKS = {name: arrays for name, arrays in RECORDED.items() if " " not in name}
CLASSES = {"r50_encoder": 133, "r101_encoder": 133}
# These show most rules; those of deep stems and of PerPixelBaseline+ see below.
QUICK = ("r50_encoder", "swin_tiny", "per_pixel_r50")
VARIANTS = [
  name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS
]


def _task(variant, classes=None):
  return MaskFormerTask(model=Model(variant=variant, num_classes=classes or _classes(variant)))


def _classes(variant):
  return CLASSES.get(variant, 150)


@pytest.fixture(scope="module")
def variables():
  """Makes shapes of a variant's variables, which are never computed."""
  found = {}

  def of(variant):
    if variant not in found:
      with tf.Graph().as_default():
        model = build_maskformer(_task(variant).model)
      made = (parameter_names(model) | buffer_names(model)).items()
      found[variant] = {name: tuple(variable.shape) for name, variable in made}
    return found[variant]

  return of


def _older(name):
  """As in the model zoo, whose heads were pixel decoders themselves."""
  return name.replace("sem_seg_head.pixel_decoder.", "sem_seg_head.")


def test_all_variants_of_the_model_zoo_are_recorded():
  assert len(NETWORKS) == 11
  assert [len(arrays) for arrays in NETWORKS.values()] == [
    *(410, 665, 675, 482, 737, 334, 502, 502, 502, 290, 407)
  ]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_array_has_its_place(variables, variant):
  scheme = foreign_files(_task(variant)).scheme("facebookresearch")
  plan = schemes.plan_import(scheme, NETWORKS[variant], variables(variant), ())
  # Each is used, and nothing is ignored but what no output depends on.
  assert {name.rsplit(".", 1)[-1] for name in plan.ignored} <= {
    "relative_position_index",
    "empty_weight",
  }


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_written_has_exactly_these_names_and_shapes(variables, variant):
  scheme = foreign_files(_task(variant)).scheme("facebookresearch")
  sources = inverse.parameters(scheme.rules, variables(variant))
  extras = {name: array.shape for name, array in scheme.extras(sources).items()}
  assert sources | extras == NETWORKS[variant]


def test_the_deep_stem(variables):
  def of_stem(arrays):
    return {name: shape for name, shape in arrays.items() if name.startswith("backbone.stem.")}

  scheme = foreign_files(_task("small_deep")).scheme("facebookresearch")
  made = inverse.parameters(scheme.rules, variables("small_deep"))
  assert of_stem(made) == of_stem(NETWORKS["r101c"])
  assert len(of_stem(made)) == 15
  assert schemes.plan_import(scheme, made, variables("small_deep"), ()).sources == made


def test_heads_of_classes_by_query(variables):
  scheme = foreign_files(_task("small_plus", 150)).scheme("facebookresearch")
  made = inverse.parameters(scheme.rules, variables("small_plus"))
  head = "sem_seg_head.predictor."
  known = NETWORKS["per_pixel_plus_r50"]
  assert {n for n in made if n.startswith(head)} == {n for n in known if n.startswith(head)}
  assert schemes.plan_import(scheme, made, variables("small_plus"), ()).sources == made


@pytest.mark.parametrize("variant", NETWORKS)
def test_every_name_has_a_rule(variant):
  """Of those too whose variables are made in slow tests alone."""
  scheme = foreign_files(_task(variant)).scheme("facebookresearch")
  for name in NETWORKS[variant]:
    found = [
      rule
      for rule in scheme.rules
      if patterns.match(rule.pattern if isinstance(rule, Ignore) else rule.source, name) is not None
    ]
    assert len(found) == (3 if "qkv" in name or "in_proj_" in name else 1), name


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("variant", NETWORKS)
def test_networks_are_told_apart(variant, older):
  arrays = {_older(name) if older else name: shape for name, shape in NETWORKS[variant].items()}
  if older:
    aliases = foreign_files(_task(variant)).scheme("facebookresearch").aliases
    arrays = {schemes._translated(name, aliases): shape for name, shape in arrays.items()}
    assert arrays == NETWORKS[variant]
  said = f"of task.model.variant={variant} and task.model.num_classes={_classes(variant)}"
  assert identify(("r18", 7), arrays) == said
  assert identify((variant, _classes(variant)), arrays) == ""
  assert identify((variant, 19), arrays) == said


@pytest.mark.parametrize("name", ["resnet50", "resnet101"])
@pytest.mark.parametrize("file", ["torchvision", "converted"])
def test_torchvisions_backbones(variables, name, file):
  """As they are, and as the original's script converts them."""
  files = foreign_files(_task("per_pixel_r50"))
  scheme = files.schemes[-1]
  given = RECORDED[f"{file} {name}"].items()
  arrays = {schemes._translated(old, scheme.aliases): shape for old, shape in given}
  assert arrays == RECORDED[f"converted {name}"]
  if name == "resnet50":
    plan = schemes.plan_import(scheme, arrays, variables("per_pixel_r50"), ["backbone"])
    assert {old for old in plan.ignored if "num_batches" not in old} == {
      "stem.fc.weight",
      "stem.fc.bias",
    }
    assert len(plan.targets) == 265  # 53 convolutions, each normalized.
    assert identify(("r50_encoder", 133), arrays) == ""
  else:
    assert identify(("r50", 150), arrays) == "the backbone of r101 or r101_encoder"


def swin_classifier(arrays):
  """Names and shapes of Swin's own files, whose backbone the original's is."""
  found = {
    name.removeprefix("backbone."): shape
    for name, shape in arrays.items()
    if name.startswith("backbone.") and not name.startswith("backbone.norm")
  }
  width = arrays["backbone.norm3.weight"][0]
  tail = {"norm.weight": (width,), "norm.bias": (width,), "head.weight": (1000, width)}
  masks = {"layers.0.blocks.1.attn_mask": (64, 49, 49), "head.bias": (1000,)}
  return found | tail | masks


def test_swins_backbones(variables):
  scheme = foreign_files(_task("swin_tiny")).schemes[-1]
  arrays = swin_classifier(NETWORKS["swin_tiny"])
  plan = schemes.plan_import(scheme, arrays, variables("swin_tiny"), ["backbone"])
  unfilled = [name for name in variables("swin_tiny") if name not in plan.targets]
  left = {name for name in unfilled if name.startswith("backbone")}
  assert left == {f"backbone/norm{s}/{name}" for s in range(4) for name in ("gamma", "beta")}
  others = swin_classifier(NETWORKS["swin_small"])
  with pytest.raises(TransferError, match=r"layers\.2\.blocks\.6"):
    schemes.plan_import(scheme, others, variables("swin_tiny"), ["backbone"])
  assert identify(("swin_tiny", 150), others) == "the backbone of swin_small"
  # The same names and sizes, other windows.
  others = swin_classifier(NETWORKS["swin_base"])
  assert identify(("swin_small", 150), others) == "the backbone of swin_base"


def test_a_file_of_another_network_lists_what_differs(variables):
  scheme = foreign_files(_task("r50_encoder", 133)).scheme("facebookresearch")
  with pytest.raises(TransferError) as caught:
    schemes.plan_import(scheme, NETWORKS["r50"], variables("r50_encoder"), ())
  problems = "\n".join(caught.value.problems)
  assert "unused: 'sem_seg_head.predictor.input_proj.weight' [256, 2048, 1, 1]" in problems
  assert "unfilled: no rule fills 'encoder/layer5/mlp/expand/kernel' [256, 2048]" in problems
  assert "misfit: 'sem_seg_head.predictor.class_embed.weight' [151, 256]" in problems


def test_caffe2s_backbones_are_refused():
  shapes = {"conv1_w": (64, 3, 7, 7), "res2_0_branch2a_w": (64, 64, 1, 1)}
  assert identify(("r50", 150), shapes).startswith("Caffe2's ResNet, another network")
