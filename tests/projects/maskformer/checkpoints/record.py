"""Records names and shapes of the original's networks, and of the files that it starts from.

pip install torch torchvision fvcore iopath omegaconf hydra-core timm scipy pycocotools
git clone https://github.com/facebookresearch/MaskFormer
git clone https://github.com/facebookresearch/detectron2        # read, not built
python -m tests.projects.maskformer.checkpoints.record MaskFormer detectron2
"""

import contextlib
import gzip
import io
import json
import pickle
import runpy
import sys
import tempfile
from pathlib import Path

import torch
import torchvision

from projects.maskformer.reference import original

NAMES = Path(__file__).parent / "names.json.gz"

_ADE20K, _SWIN = "ade20k-150/maskformer", "ade20k-150/swin/maskformer_swin"
_COCO = "coco-panoptic/maskformer_panoptic"
CONFIGS = {
  "r50": f"{_ADE20K}_R50_bs16_160k",
  "r101": f"{_ADE20K}_R101_bs16_160k",
  "r101c": f"{_ADE20K}_R101c_bs16_160k",
  "r50_encoder": f"{_COCO}_R50_bs64_554k",
  "r101_encoder": f"{_COCO}_R101_bs64_554k",
  "swin_tiny": f"{_SWIN}_tiny_bs16_160k",
  "swin_small": f"{_SWIN}_small_bs16_160k",
  "swin_base": f"{_SWIN}_base_IN21k_384_bs16_160k_res640",
  "swin_large": f"{_SWIN}_large_IN21k_384_bs16_160k_res640",
  "per_pixel_r50": "ade20k-150/per_pixel_baseline_R50_bs16_160k",
  "per_pixel_plus_r50": "ade20k-150/per_pixel_baseline_plus_R50_bs16_160k",
}


def main(maskformer: str, detectron2: str) -> None:
  """Writes `names.json.gz`: file → name → shape."""
  checkouts = original.Checkouts(Path(maskformer).resolve(), Path(detectron2).resolve())
  original._make_importable(checkouts)
  found = {}
  for variant, config in CONFIGS.items():
    _, model = original._build(checkouts.maskformer / "configs" / f"{config}.yaml")
    found[variant] = _shapes(model.state_dict())
  for name in ("resnet50", "resnet101"):
    state = getattr(torchvision.models, name)().state_dict()
    found[f"torchvision {name}"] = _shapes(state)
    script = checkouts.maskformer / "tools" / "convert-torchvision-to-d2.py"
    found[f"converted {name}"] = _shapes(_converted(state, script))
  NAMES.write_bytes(gzip.compress(json.dumps(found).encode(), 9, mtime=0))


def _converted(state: dict, script: Path) -> dict:
  """What the original's script makes of torchvision's weights."""
  with tempfile.TemporaryDirectory() as folder:
    files = [f"{folder}/in.pth", f"{folder}/out.pkl"]
    torch.save(state, files[0])
    sys.argv = [str(script), *files]
    with contextlib.redirect_stdout(io.StringIO()):
      runpy.run_path(str(script), run_name="__main__")
    return pickle.loads(Path(files[1]).read_bytes())["model"]


def _shapes(state: dict) -> dict[str, list[int]]:
  return {name: list(array.shape) for name, array in state.items()}


if __name__ == "__main__":
  main(*sys.argv[1:])
