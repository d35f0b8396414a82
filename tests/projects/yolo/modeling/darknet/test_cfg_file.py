"""Reading `.cfg` files: what stands in them, and complaints that name the line."""

import pytest

from official.cli.errors import UserError
from projects.yolo.modeling.darknet.cfg_file import read_cfg

TEXT = """\
# a comment
[net]
width = 64   ; behind
height=64#32

[convolutional]
filters=8
filters=9
activation = leaky
anchors = 10,14,  23 , 27
scale=1.05
"""


@pytest.fixture
def read(tmp_path):
  """Reads the sections of a text."""

  def call(text):
    path = tmp_path / "a.cfg"
    path.write_text(text)
    return read_cfg(path)

  return call


def test_sections_options_and_lines(read):
  net, layer = read(TEXT)
  assert (net.kind, net.line, layer.kind, layer.line) == ("net", 2, "convolutional", 6)
  assert net.integer("width") == net.integer("height") == 64
  assert layer.integer("filters") == 8  # As in Darknet, the first one counts.
  assert layer.numbers("anchors") == [10, 14, 23, 27]
  assert layer.integers("anchors") == [10, 14, 23, 27]
  assert layer.number("scale") == 1.05
  assert layer.word("activation", "linear", ["leaky", "mish"]) == "leaky"
  assert (layer.integer("stride", 1), layer.number("bias", 0.5), layer.count("groups", 2)) == (
    *(1, 0.5),
    2,
  )


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("", "its first section must be [net]"),
    ("[convolutional]", "its first section must be [net]"),
    ("[net\n", "line 1: '[net' is no section"),
    ("[net]\n[]", "line 2: '[]' is no section"),
    ("[net]\nwidth\n", "line 2: 'width' is no option"),
    ("[net]\nwidth=\n", "line 2: 'width=' is no option"),
    ("[net]\n\n=3\n", "line 3: '=3' is no option"),
    ("width=3\n[net]\n", "line 1: width= stands before the first section"),
  ],
)
def test_a_file_that_is_none(read, text, message):
  with pytest.raises(UserError) as caught:
    read(text)
  assert message in str(caught.value)
  assert "a.cfg" in str(caught.value)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
  ("ask", "message"),
  [
    (lambda s: s.integer("stride"), "line 6, [convolutional]: no stride= here, which must be a wh"),
    (lambda s: s.integer("activation"), "line 9, [convolutional]: activation=leaky: must be a wh"),
    (lambda s: s.integer("scale"), "line 11, [convolutional]: scale=1.05: must be a whole number"),
    (lambda s: s.number("activation"), "activation=leaky: must be a number"),
    (lambda s: s.integers("activation"), "must be whole numbers with commas between"),
    (lambda s: s.numbers("mask"), "no mask= here"),
    (lambda s: s.word("activation", "", ["leak"]), "leaky; did you mean 'leak'?: known are leak"),
  ],
)
def test_an_option_that_is_wrong(read, ask, message):
  with pytest.raises(UserError) as caught:
    ask(read(TEXT)[1])
  assert message in str(caught.value)


def test_a_count_is_above_zero(read):
  with pytest.raises(UserError, match=r"line 2.*size=0: must be a whole number above 0"):
    read("[net]\nsize=0")[0].count("size")


def test_a_file_that_cannot_be_read(tmp_path):
  for path in (tmp_path / "none.cfg", tmp_path):
    with pytest.raises(UserError, match=r"cannot be read as a \.cfg file"):
      read_cfg(path)
  (tmp_path / "binary.cfg").write_bytes(b"\xff\xfe\x00")
  with pytest.raises(UserError, match=r"cannot be read as a \.cfg file"):
    read_cfg(tmp_path / "binary.cfg")
