"""What makes each command of the documents small enough for a test, or which test runs it."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

from tests.guides import given


@dataclasses.dataclass(frozen=True)
class Row:
  """A command.

  Attributes:
    command: as the document has it; "*" stands for anything.
    changes: (text, other text) in the command.
    more: arguments behind it.
    given: what puts files into the folder before, or a command that does.
    edits: (file, text, other text) in the copy of the sources: sizes that are no arguments.
    prints: a pattern of its output.
    codes: exit codes of a command that did what it is for.
    by: (file, text): what else runs the command, and a text that shows it.
    slow: for `make test-slow`.
  """

  command: str
  changes: tuple[tuple[str, str], ...] = ()
  more: str = ""
  given: Callable[[Path], object] | str = ""
  edits: tuple[tuple[str, str, str], ...] = ()
  prints: str = ""
  codes: tuple[int, ...] = (0,)
  by: tuple[str, str] | None = None
  slow: bool = False

  def fits(self, command: str) -> bool:
    return re.fullmatch(re.escape(self.command).replace(r"\*", ".*"), command) is not None

  def small(self, command: str) -> str:
    for old, new in self.changes:
      assert old in command, f"{command}: the table changes '{old}', which is not there"
      command = command.replace(old, new)
    return f"{command} {self.more}".strip()


_ONE_STEP = (
  "trainer.train_steps=1,trainer.steps_per_loop=1,trainer.summary_interval=1,"
  "trainer.validation_interval=1,trainer.checkpoint_interval=1,"
  "task.train_data.global_batch_size=4,task.validation_data.global_batch_size=2"
)
_YOLO = f"{_ONE_STEP},task.model.input_size=64,task.train_data.augmentation.group_size=4"
_SIDES = "task.train_data.output_size=[64,64],task.validation_data.output_size=[64,64]"
_EXPERIMENTS = "projects/maskformer/configs/experiments.py"
_NAMES = "tests/projects/maskformer/checkpoints/test_names.py"
_CSP, _V4_TINY = "configs/yolo/v4_csp_coco.yaml", "--experiment=yolo_v4_tiny_coco"
_R14 = "R50 = ResNetSizes((1, 1, 1, 1)"
_TOY = "toys clean"
_FAKE = "--experiment=fake --registry=tests.official.training.fake --batch=1"


def _parity(arguments: str, network: str, prints: str = "SAME: toys/toy") -> Row:
  """The small network of parity's own tests stands for one at full width."""
  return Row(
    f"python tools/parity.py {arguments}", ((network, _TOY),), given=given.toys, prints=prints
  )


def _fake(arguments: str, prints: str, experiment: str = "--experiment=…") -> Row:
  """The tiny experiment of the trainer's own tests stands for a network."""
  return Row(f"python -m tools.tpu_check {arguments}", ((experiment, _FAKE),), prints=prints)


def _csp(arguments: str) -> Row:
  """Linted with a smaller network: its compiler takes minutes."""
  more = "--lint --params_override=task.model.variant=v3-tiny,task.model.input_size=64"
  return Row(
    f"python -m tools.tpu_check {arguments}", more=more, prints="NOTHING FOUND THAT STOPS IT"
  )


_INSTALLING = tuple(
  Row(command, by=("Makefile", text))
  for command, text in {
    # `make test` begins with the other two, in CI from a bare clone, and then is this suite.
    "make test": "test: $(VENV)/.dev lint",
    "make setup": "setup: $(VENV)/.dev ",
    "pip install -e .": "$(PIP) -e .",
    "pip install -e '.[tpu]'": "$(PIP) -e '.[parity,tpu,dev]'",
  }.items()
)
_ELSEWHERE = (
  Row("make demo", by=("tests/tools/test_demo.py", "make")),
  Row("make demo DEMO_ARGS=*", by=("tests/tools/test_demo.py", "DEMO_ARGS")),
  Row("python -m tools.demo", by=("tests/tools/test_demo.py", "tools.demo")),
  *(
    Row(command, by=("tests/test_tutorial.py", "def test_tutorial"))
    for command in (
      "python -m tools.new_project resnet *",
      "python -m tools.workflow next resnet",
      "echo *",
      "python -m tools.parity map resnet base >> weights.py",
      "mv weights.py projects/resnet/reference/weights.py",
      "python -m tools.workflow run resnet style parity/base",
      "python -m tools.workflow status resnet",
    )
  ),
  *(
    Row(f"pytest {path}", by=(path, "def test_"))  # This suite.
    for path in (
      "tests/projects/maskformer/tasks/test_distribution.py",
      "tests/projects/yolo/test_resume.py",
      "tests/official/evaluation",
      "tests/official/checkpoints",
    )
  ),
)
_MAKE = (
  Row("make format", prints="left unchanged"),
  Row("make evidence", prints=r"yolo: \d+ findings; \d+ gates green", codes=(0, 2)),
  Row(
    "make test-slow",
    edits=(
      (
        "Makefile",
        "-m slow",
        "-m slow tests/projects/maskformer/checkpoints/test_names.py -k per_pixel_plus",
      ),
    ),
    prints="[1-9] passed",
  ),
  Row(
    "make bench-parity",
    edits=(
      ("Makefile", "-m benchmarks.parity", "-m benchmarks.parity --only=decoder_layer:mlp_norm"),
    ),
    prints=r"caught, at the right stage +1 of 1",
  ),
  Row(
    "make tpu-table",
    given=given.small_configuration,
    edits=(
      ("Makefile", "benchmarks.tpu_table", "benchmarks.tpu_table configs/yolo/small.yaml"),
      ("benchmarks/tpu_table.py", '("train", "eval")', '("eval",)'),
    ),
    prints="steps fit",
  ),
)
_USE = (
  Row(
    "python tools/prepare_data.py shapes --output data/shapes --train 6000 --val 300 --size 128",
    (("6000", "4"), ("300", "2"), ("128", "64 --workers 1")),
    prints="data/shapes/train: 4 examples with",
  ),
  Row("python train.py --list_experiments", prints="yolo_v4_tiny_shapes"),
  Row(
    "python train.py --experiment=yolo_v4_tiny_shapes --mode=train_and_eval"
    " --model_dir=runs/shapes",
    more=f"--params_override={_YOLO}",
    prints="training: 1/1 steps",
  ),
  Row(
    "python tools/predict.py --experiment yolo_v4_tiny_shapes --checkpoint runs/shapes"
    " --output out data/shapes/images/val",
    prints=r"out: \d+ detections in 2 images, 0 left out",
  ),
  Row(
    "python -m tools.export --experiment=yolo_v4_tiny_shapes --checkpoint=runs/shapes"
    " --format=lite_int8 --output=exported",
    given="python tools/prepare_data.py shapes --output data/shapes --train 4 --val 2 --size 64"
    " --workers 1 && python train.py --experiment=yolo_v4_tiny_shapes --mode=train_and_eval"
    f" --model_dir=runs/shapes --params_override={_YOLO}",
    prints="exported: runs/shapes/",
  ),
  Row(
    "python -m tools.predict --exported=exported --output=out IMAGE …",
    (("IMAGE …", "data/shapes/images/val"),),
    prints=r"out: \d+ detections in 2 images, 0 left out",
  ),
  Row("python tools/describe.py yolo", more="v3-tiny", prints="8,852,366"),
  Row("python tools/describe.py yolo v4-tiny", prints="AP50"),
  Row("python -m tools.convert_checkpoint --help", prints="import"),
  Row(
    "python tools/prepare_data.py coco --images train2017 --instances instances_train2017.json"
    " --output data/coco/train --shards 32",
    (("32", "2"),),
    given=given.coco,
    prints="data/coco/train: 4 examples with",
  ),
  Row(
    "python tools/prepare_data.py coco --images val2017 --instances instances_val2017.json"
    " --output data/coco/val --shards 4",
    (("4", "1"),),
    given=given.coco,
    prints="data/coco/val: 2 examples with",
  ),
  Row(
    "python train.py --experiment=yolo_v4_csp_coco --config_file=configs/yolo/v4_csp_coco.yaml"
    " --mode=train_and_eval --model_dir=runs/v4_csp_coco --tpu=NAME",
    ((" --tpu=NAME", ""),),
    more="--params_override=runtime.distribution_strategy=one_device,task.model.variant=v3-tiny,"
    + _YOLO,
    prints="training: 1/1 steps",
  ),
  Row(
    "python -m tools.new_project NAME --reference module:Class",
    (("NAME", "newer"), ("module:Class", "torch.nn:Linear")),
    more='--arguments \'{"in_features": 3, "out_features": 2}\'',
    prints="what to do now: python -m tools.workflow next newer",
  ),
  Row(
    "python -m tools.new_project NAME --reference transformers:ResNetForImageClassification",
    (("NAME", "newest"),),
    more='--arguments \'{"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}\'',
    prints="what to do now: python -m tools.workflow next newest",
  ),
  Row(
    "python tools/inspect_checkpoint.py FILE",
    (("FILE", "NET.pt"),),
    given=given.torch_file,
    prints="NET.pt: torch zip, 2 arrays, 8 numbers",
  ),
)
_PARITY = (
  Row("python tools/parity.py list", prints="yolo +v3-tiny"),
  Row(  # The only one at full width, of which no step is made.
    "python tools/parity.py run yolo v3-tiny",
    more="--stages structure",
    prints="SAME: yolo/v3-tiny",
  ),
  _parity("run yolo v3-tiny --precision bfloat16 --stages forward,gradients", "yolo v3-tiny"),
  _parity("run yolo v3-tiny --steps 10 --report out/parity", "yolo v3-tiny", "out/parity/index"),
  _parity("record yolo v3-tiny v3-tiny.safetensors", "yolo v3-tiny", "wrote v3-tiny.safetensors"),
  _parity("run yolo v3-tiny --recording v3-tiny.safetensors", "yolo v3-tiny"),
  _parity("map yolo v3-tiny", "yolo v3-tiny", r"Rule\("),
  _parity("run yolo v4-tiny --steps 3", "yolo v4-tiny"),
  _parity("run yolo v4-tiny --steps 10", "yolo v4-tiny"),
  _parity("run yolo v4-tiny --steps 10 --report *", "yolo v4-tiny", "parity/index.html"),
  _parity("run yolo v4-tiny --stages forward,loss", "yolo v4-tiny"),
  _parity("run yolo VARIANT --steps 10", "yolo VARIANT"),
  _parity("run maskformer VARIANT --steps 10", "maskformer VARIANT"),
)
_WORKFLOW = (
  Row("python -m tools.workflow status yolo", prints="yolo: in stage"),
  Row("python -m tools.workflow status maskformer", prints="maskformer: in stage"),
  Row(
    "python -m tools.workflow status maskformer --page runs/workflow.html",
    prints="page: runs/workflow.html",
  ),
  Row("python -m tools.workflow next yolo", prints="yolo"),
  Row("python -m tools.workflow run yolo checklist style", prints="style: passed"),
  Row("python -m tools.workflow analysis yolo", prints="yolo: 15 items answered"),
  Row("python -m tools.workflow check yolo", prints=r"yolo: \d+ findings; \d+ gates", codes=(0, 1)),
  Row("python -m tools.workflow mend yolo", prints=r"the ledger has \d+ records"),
)
_TPU = (
  _csp(
    "--experiment=yolo_v4_csp_coco --config_file=configs/yolo/v4_csp_coco.yaml --topology=v3:2x2"
  ),
  _csp(
    "--experiment=yolo_v4_csp_coco --topology=v3:2x2 --config_file=configs/yolo/v4_csp_coco.yaml"
  ),
  _fake(
    "--experiment=yolo_v4_tiny_coco --topology=v3:2x2", "^FITS", "--experiment=yolo_v4_tiny_coco"
  ),
  _fake("--experiment=… --topology=v5e:4x4 --step=eval --report=runs/tpu", "^FITS: eval step"),
  _fake("--experiment=… --topology=v5e:1x1 --lint", "NOTHING FOUND THAT STOPS IT"),
  dataclasses.replace(
    _fake("--experiment=… --topology=v5e:1x1 --search=batch", "that fits v5e:1x1: 3"),
    edits=(("official/tpu/search.py", "_LARGEST = 4096", "_LARGEST = 2"),),
  ),
  _fake("--experiment=… --topologies=v3:2x2,v5e:2x2,v5p:2x2x1", "v5p:2x2x1"),
  Row(
    "python -m tools.export_step --experiment=… --batch=4 --output=runs/step",
    (("…", "yolo_v4_tiny_shapes"), ("4 ", "1 ")),
    more="--params_override=task.model.input_size=32",
    prints="runs/step: run it by",
  ),
  Row(
    "python -m tools.tpu_check --experiment=yolo_v3_tiny_coco *stem_on_quads=false",
    (("stem_on_quads=false", "stem_on_quads=true,task.model.input_size=64"),),
    more="--lint",
    prints="NOTHING FOUND THAT STOPS IT",
  ),
  Row("python -m official.tpu.runner runs/step --steps=10", (("10", "2"),), prints="2 steps"),
)
_YOLO_ROOM = (
  Row(
    "python -m tools.predict --imported NET.cfg NET.weights --names=coco.names"
    " --output=out dog.jpg",
    given=given.darknet,
    prints=r"out: \d+ detections in 1 images, 0 left out",
  ),
  Row(
    "python -m tools.anchors --input='data/shapes/train-*.tfrecord' --variant=v4-tiny --size=128",
    more="--generations=20",
    given="python tools/prepare_data.py shapes --output data/shapes --train 4 --val 2 --size 64",
    prints="task.model.anchors=",
  ),
)
_MASKFORMER_ROOM = (
  Row("python -m tools.describe maskformer", more="tiny", prints="mask_logits"),
  Row(
    "python tools/prepare_data.py shapes --output data/shapes --train 24000 --val 300 --size 160",
    (("24000", "4"), ("300", "2"), ("160", "64 --workers 1")),
    prints="data/shapes/train: 4 examples with",
  ),
  Row(
    "python train.py --experiment=maskformer_tiny_shapes"
    " --config_file=configs/maskformer/tiny_shapes.yaml --mode=train_and_eval"
    " --model_dir=runs/maskformer_tiny_shapes",
    more=f"--params_override={_ONE_STEP},{_SIDES}",
    prints="training: 1/1 steps",
  ),
  Row(
    "python -m tools.predict --experiment=maskformer_tiny_shapes"
    " --checkpoint=runs/maskformer_tiny_shapes --output=out IMAGE …",
    (("IMAGE …", "data/shapes/images/val"),),
    prints=r"out: \d+ segments in 2 images, 0 left out",
  ),
  Row(
    "python -m tools.convert_checkpoint import --experiment=maskformer_r50_coco_panoptic"
    " model_final.pkl runs/original",
    (("maskformer_r50_coco_panoptic", "maskformer_tiny_shapes"),),
    given="python -m tools.convert_checkpoint export --experiment=maskformer_tiny_shapes"
    " --names=facebookresearch runs/maskformer_tiny_shapes model_final.pkl",
    prints=r"runs/original: \d+ variables of model_final.pkl",
  ),
  Row(
    "python -m tools.convert_checkpoint export --experiment=maskformer_r50_ade20k"
    " --names=transformers runs/mine model.safetensors",
    given="python checkpoint.py maskformer_r50_ade20k runs/mine",
    edits=(("projects/maskformer/modeling/variants.py", "R50 = ResNetSizes((3, 4, 6, 3)", _R14),),
    prints=r"model.safetensors: \d+ arrays of runs/mine/ckpt-0, transformers names",
  ),
  Row(
    "python train.py … --params_override=task.init_checkpoint=R-50.pkl,"
    "task.init_checkpoint_modules=[backbone]",
    (
      ("…", "--experiment=maskformer_tiny_shapes --mode=train --model_dir=runs/from_backbone"),
      ("R-50.pkl", f"model_final.pkl,{_ONE_STEP},{_SIDES}"),
    ),
    prints="training: 1/1 steps",
  ),
)
_BENCHMARKS = (
  Row("python -m benchmarks --help", prints="train_step"),
  Row(
    "python -m benchmarks.yolo_speed *", by=("tests/benchmarks/test_yolo_speed.py", "test_sides")
  ),
  Row(
    "python -m benchmarks train_step",
    edits=(("benchmarks/train_step.py", "416, 2, 2, 8, 2", "64, 2, 1, 1, 1"),),
    prints=r"CPU s +ours +\d+.\d+ +upstream",
    slow=True,
  ),
  Row(
    "python -m benchmarks maskformer_step",
    edits=(
      ("benchmarks/maskformer_step.py", "((256, 2), (640, 1))", "((64, 1),)"),
      ("benchmarks/maskformer_step.py", "1, 3, 2\n", "1, 1, 1\n"),
    ),
    prints=r"CPU s +ours +\d+.\d+ +transformers",
    slow=True,
  ),
  Row(
    "python -m benchmarks pipeline",
    edits=(
      ("benchmarks/pipeline.py", '{"large": 512, "small": 160}', '{"small": 160}'),
      ("benchmarks/pipeline.py", "8, 4, 8.0", "8, 1, 0.1"),
    ),
    prints=r"train +ours +\d+.\d+ +upstream",
  ),
  Row(
    "python -m benchmarks convert",
    edits=(
      ("benchmarks/convert.py", "2000, 320, 8", "4, 64, 1"),
      ("benchmarks/convert.py", '("boxes", "masks", "panoptic")', '("panoptic",)'),
    ),
    prints=r"panoptic +all +\d+.\d+",
  ),
  Row(
    "python -m benchmarks whole_network",
    edits=(
      (
        "benchmarks/whole_network.py",
        'parity_cases(input_size=640, images=1)["v4-csp"]',
        'parity_cases(input_size=64, images=1)["v3-tiny"]',
      ),
    ),
    prints="640²: same, .* pairs",
  ),
  Row(
    "python -m benchmarks convergence",
    edits=(
      ("benchmarks/convergence.py", "range(3)", "range(2)"),
      ("benchmarks/convergence.py", "--train=24000", "--train=4"),
      ("benchmarks/convergence.py", "--val=300", "--val=2"),
      ("benchmarks/convergence.py", "--size=160", "--size=64"),
      (_EXPERIMENTS, "4_000, [160, 160]", "2, [64, 64]"),
      (_EXPERIMENTS, "steps, 50, 1000, optimizer", "steps, 1, 1, optimizer"),
      (_EXPERIMENTS, "global_batch_size=16", "global_batch_size=2"),
      (_EXPERIMENTS, "warmup_steps=200", "warmup_steps=1"),
    ),
    prints="difference .* Student's t",
    slow=True,
  ),
)
ROWS = (
  *_INSTALLING,
  *_ELSEWHERE,
  *_MAKE,
  *_USE,
  *_PARITY,
  *_WORKFLOW,
  *_TPU,
  *_YOLO_ROOM,
  *_MASKFORMER_ROOM,
  *_BENCHMARKS,
)
