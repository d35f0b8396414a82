"""MaskFormer's dossier: papers, variants and what is claimed for them, experiments, segmenter."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from official.datasets.annotations import Category
from official.dossiers.dossier import Dossier, Paper, Segmenter, Variant
from projects.maskformer import claims

if TYPE_CHECKING:
  from official.checkpoints.schemes import ForeignFiles
  from official.parity.case import ParityCase
  from projects.maskformer.configs.maskformer import MaskFormerTask

_TINY = "maskformer_tiny_shapes"


def _input_shape(task: "MaskFormerTask") -> tuple[int, int, int]:
  height, width = task.train_data.output_size
  return height, width, 3


def _segmenter(
  task: "MaskFormerTask", checkpoint: str, batch_size: int, categories: Sequence[Category]
) -> Segmenter:
  from projects.maskformer.serving.segmenter import MaskFormerSegmenter

  return MaskFormerSegmenter(task, checkpoint, batch_size, categories)


def _categories(task: "MaskFormerTask") -> Sequence[Category]:
  from projects.maskformer.tasks import maskformer

  return maskformer.MaskFormerTask(task).categories(task.validation_data)


def _export(
  task: "MaskFormerTask", checkpoint: str, categories: Sequence[Category], directory: str
) -> None:
  from projects.maskformer.serving.export import export

  export(task, checkpoint, [category.isthing for category in categories], directory)


def _foreign(task: "MaskFormerTask") -> "ForeignFiles":
  from projects.maskformer.checkpoints.foreign import foreign_files

  return foreign_files(task)


def _parity() -> Mapping[str, "ParityCase"]:
  from projects.maskformer.reference.cases import parity_cases

  return parity_cases()


def _variants() -> dict[str, Variant]:
  networks = dict.fromkeys(row.variant for row in claims.PUBLISHED.values())
  published = {name: Variant(claims.experiments(name)[0], claims.claims(name)) for name in networks}
  return published | {"tiny": Variant(_TINY, ())}


DOSSIER = Dossier(
  name="maskformer",
  papers=(
    Paper(
      "Per-Pixel Classification is Not All You Need for Semantic Segmentation",
      "https://arxiv.org/abs/2107.06278",
    ),
  ),
  variants=_variants(),
  experiments=(*(f"maskformer_{name}" for name in claims.PUBLISHED), _TINY),
  input_shape=_input_shape,
  segmenter=_segmenter,
  categories=_categories,
  parity=_parity,
  exports={"saved_model": _export},
  foreign=_foreign,
)
