"""A `.cfg` that cannot be imported is refused in a line that says which."""

import math

import pytest

from official.cli.errors import UserError
from projects.yolo.modeling.darknet.draft import Shape
from projects.yolo.modeling.darknet.network import read_network
from projects.yolo.reference.darknet import CFG

HEAD = "[net]\nwidth=64\nheight=32\n"
CONV = "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
OUTPUT = "[convolutional]\nfilters=14\nactivation=linear\n"
LOGITS = OUTPUT.replace("linear", "logistic")
YOLO = "[yolo]\nmask=0,1\nanchors=1,2,3,4\nclasses=2\n"


@pytest.fixture
def read(tmp_path):
  """Reads the network of a text."""

  def call(text):
    path = tmp_path / "a.cfg"
    path.write_text(HEAD + text)
    return read_network(path)

  return call


def test_what_a_network_says(read):
  network = read(CONV + CONV + LOGITS + YOLO + "scale_x_y=2\nnew_coords=1\nnms_kind=diounms\n")
  assert network.input == Shape(32, 64, 3)
  assert not network.letterbox
  (head,) = network.heads
  assert (head.level, head.classes, head.diou_exponent) == (2, 2, 0.6)
  assert (head.coordinates.form, head.coordinates.scale_xy) == ("scaled", {2: 2})
  assert head.coordinates.anchors == {2: ((1, 2), (3, 4))}
  kernels = [(c.section, c.normalized, c.kernel) for c in network.convolutions]
  assert kernels == [
    (0, True, (8, 3, 3, 3)),
    (1, True, (8, 8, 3, 3)),
    (2, False, (14, 8, 1, 1)),
  ]


@pytest.mark.parametrize(
  ("options", "exponent"),
  [
    ("", None),
    ("nms_kind=default\nbeta_nms=0.3\n", None),
    ("nms_kind=greedynms\nbeta_nms=0.3\n", 0.6),
    ("nms_kind=diounms\nbeta_nms=0.3\n", 0.3),
  ],
)
def test_suppression_is_darknets(read, options, exponent):
  assert read(CONV + OUTPUT + YOLO + options).heads[0].diou_exponent == exponent


def test_dimensions_of_the_real_networks():
  heads = {
    name: [(head.level, len(head.coordinates.anchors[head.level])) for head in network.heads]
    for name, network in ((path.stem, read_network(path)) for path in CFG.glob("*.cfg"))
  }
  assert heads == {
    "yolov3-tiny": [(5, 3), (4, 3)],
    "yolov4-tiny": [(5, 3), (4, 3)],
    "yolov3": [(5, 3), (4, 3), (3, 3)],
    "yolov3-spp": [(5, 3), (4, 3), (3, 3)],
    "yolov4": [(3, 3), (4, 3), (5, 3)],
    "yolov4-csp": [(3, 3), (4, 3), (5, 3)],
    "yolov4x-mish": [(3, 3), (4, 3), (5, 3)],
    "yolov4-p5": [(3, 4), (4, 4), (5, 4)],
    "yolov4-p6": [(3, 4), (4, 4), (5, 4), (6, 4)],
    "yolov4-p7": [(3, 4), (4, 4), (5, 4), (6, 4), (7, 4)],
  }
  assert read_network(CFG / "yolov4-csp.cfg").letterbox


# As the originals have, in millions; Darknet's own .weights files are four bytes a number.
@pytest.mark.parametrize(
  ("name", "millions"),
  [
    ("v3", 61.949),
    ("v3-spp", 62.999),
    ("v3-tiny", 8.852),
    ("v4", 64.363),
    ("v4-tiny", 6.057),
    ("v4-csp", 52.921),
    ("v4x-mish", 99.751),
    ("v4-p5", 70.831),
    ("v4-p6", 127.585),
    ("v4-p7", 287.566),
  ],
)
def test_parameters_of_the_real_networks(name, millions):
  counts = (
    math.prod(each.kernel) + (2 if each.normalized else 1) * each.kernel[0]
    for each in read_network(CFG / f"yolo{name}.cfg").convolutions
  )
  assert round(sum(counts) / 1e6, 3) == millions


@pytest.mark.parametrize(
  ("text", "line", "message"),
  [
    ("[crnn]\nstride=2\n", 4, "[crnn]: this kind of layer is not supported (known are avgpool"),
    ("[rout]\n", 4, "did you mean 'route'?"),
    (CONV + "dilation=2\n", 11, "[convolutional]: dilation=2 is not supported"),
    (CONV + "xnor=1\n", 11, "xnor=1 is not supported"),
    (CONV + "share_index=3\n", 11, "share_index=3 is not supported"),
    ("[upsample]\nstride=2\nscale=2\n", 6, "scale=2 is not supported"),
    (CONV.replace("leaky", "rampe"), 10, "did you mean 'ramp'?: known are elu, gelu, hard_mish"),
    (CONV.replace("size=3", "size=2"), 4, "padding by 1 around a kernel of 2 is not supported"),
    (CONV.replace("pad=1", "padding=2"), 4, "padding by 2 around a kernel of 3 is not supported"),
    (CONV.replace("size=3", "size=33").replace("pad=1", "pad=0"), 4, "33 does not fit into 32"),
    (CONV + "groups=2\n", 11, "3 channels to 8 filters do not divide into 2 groups"),
    (CONV + CONV + "groups=16\n", 18, "8 channels to 8 filters do not divide into 16 groups"),
    (CONV.replace("filters=8", "filters=0"), 6, "filters=0: must be a whole number above 0"),
    ("[maxpool]\nsize=2\nstride=2\npadding=-1\n", 7, "padding=-1: must not be negative"),
    ("[maxpool]\nsize=2\nstride=0\n", 6, "stride=0: must be a whole number above 0"),
    ("[route]\nlayers=-1\n", 5, "layers= names section -1, which is not above this one"),
    (CONV + "[route]\nlayers=1\n", 12, "layers= names section 1, which is not above this one"),
    (CONV + CONV + "[route]\nlayers=0,1\n", 19, "joins sections of different sizes: 8×16, 16×32"),
    (CONV + "[route]\nlayers=0\ngroups=3\n", 13, "group 0 of 3 of the channels does not exist"),
    (CONV + "[route]\nlayers=0\ngroups=2\ngroup_id=2\n", 13, "group 2 of 2 of the channels"),
    (CONV + OUTPUT + "[shortcut]\nfrom=-2\n", 15, "16×32×14, 16×32×8"),
    (CONV + "[shortcut]\nfrom=-1\nactivation=gelo\n", 13, "activation=gelo"),
    (CONV + "[reorg]\nstride=4\n", 12, "16×32×8 does not divide by a stride of 4"),
    ("[reorg]\nstride=2\nreverse=1\n", 5, "32×64×3 does not divide by a stride of 2"),
    (CONV * 2 + "[sam]\nfrom=-2\n", 18, "of different shapes: 16×32×8, 8×16×8"),
    (CONV + OUTPUT + "[sam]\nfrom=0,0\n", 15, "from= must name one section"),
    (CONV * 2 + "[scale_channels]\nfrom=-2\n", 19, "needs 1×1×8 above, and there is 8×16×8"),
    (CONV * 2 + "[scale_channels]\nfrom=-2\nscale_wh=1\n", 19, "needs 16×32×1 above"),
    (CONV + OUTPUT + YOLO.replace("0,1", "0,2"), 15, "among the 2 anchors"),
    (CONV + OUTPUT + YOLO.replace("3,4", "3"), 15, "among the 1.5 anchors"),
    (CONV + YOLO, 11, "needs 2 anchors × (5 + 2 classes) = 14 channels, and the section above has"),
    (CONV + OUTPUT + YOLO + "new_coords=1\n", 18, "new_coords=1 needs activation=logistic in the"),
    (CONV + OUTPUT + YOLO + "nms_kind=soft\n", 18, "nms_kind=soft: known are default, diounms"),
    (CONV + OUTPUT + YOLO + OUTPUT, 18, "reads the output of section 2, which is a [yolo]"),
    (CONV + OUTPUT + YOLO + "[route]\nlayers=2\n", 18, "reads the output of section 2"),
    (
      CONV + OUTPUT + YOLO + "[route]\nlayers=1\n" + YOLO,
      20,
      "a second [yolo] at stride 2 is not supported",
    ),
    ("[maxpool]\nstride=3\n" + OUTPUT + YOLO, 9, "a grid of 11×22 does not halve the input evenly"),
    (
      CONV
      + OUTPUT
      + YOLO
      + "[route]\nlayers=0\n[maxpool]\nstride=2\n"
      + OUTPUT.replace("14", "16")
      + YOLO.replace("s=2", "s=3"),
      28,
      "has another number of classes than 3",
    ),
    (CONV, 1, "[net]: the network has no [yolo] section"),
  ],
)
def test_what_is_not_supported(read, text, line, message):
  with pytest.raises(UserError) as caught:
    read(text)
  assert f"a.cfg, line {line}, [" in str(caught.value)
  assert message in str(caught.value)
  assert "\n" not in str(caught.value)


def test_options_of_training_and_neutral_ones_are_passed_over(read):
  network = read(
    CONV + "dilation=1\nstopbackward=1\n" + OUTPUT + YOLO + "jitter=.3\niou_loss=ciou\n"
  )
  assert len(network.rows) == 3


def test_the_input_needs_a_size(tmp_path):
  (tmp_path / "a.cfg").write_text("[net]\nwidth=64\n" + CONV)
  with pytest.raises(UserError, match=r"line 1, \[net\]: no height= here"):
    read_network(tmp_path / "a.cfg")
