"""Pages and curves: escaped, self-contained, and true to the event files."""

import numpy as np
import tensorflow as tf
from PIL import Image

from official.reports.curves import draw_curves, read_scalars
from official.reports.page import Cell, Page


def test_text_is_escaped_and_images_are_inside():
  page = Page("a < b & c")
  page.heading("<script>")
  page.paragraph('say "hi"', "big")
  page.code("x > y")
  page.table(["name", "value"], [("<i>", 0.25), ("count", 1234)])
  page.images([(Image.new("RGB", (4, 4)), "a & b")])
  text = page.render()
  assert "<title>a &lt; b &amp; c</title>" in text
  assert "<script>" not in text
  assert "<i>" not in text
  assert "0.2500" in text
  assert "1,234" in text
  assert 'src="data:image/png;base64,' in text


def test_a_page_may_bring_styles_scripts_and_folds():
  page = Page("a", style="b { color: red }", script="let a = 1 < 2;")
  with page.folded("<more>"):
    page.table(["x"], [(Cell("1 < 2", "number"),)])
    page.markup("<b>as it is</b>")
  text = page.render()
  assert "b { color: red }</style>" in text
  assert "<script>let a = 1 < 2;</script></body>" in text
  assert "<details><summary>&lt;more&gt;</summary>" in text
  assert '<td class="number">1 &lt; 2</td>' in text
  assert "<b>as it is</b>\n</details>" in text


def test_scalars_of_a_resumed_run_keep_the_later_value(tmp_path):
  for values in ({10: 1.0, 20: 2.0, 30: 9.0}, {30: 3.0, 40: 4.0}):
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default():
      for step, value in values.items():
        tf.summary.scalar("loss", value, step)
    writer.close()
  steps, values = read_scalars(tmp_path)["loss"]
  np.testing.assert_array_equal(steps, [10, 20, 30, 40])
  np.testing.assert_array_equal(values, [1, 2, 3, 4])


def test_curves_are_drawn():
  curve = np.array([1, 2, 3]), np.array([0.1, 0.5, 0.4])
  one = draw_curves({"AP": curve}, "AP", (0, 1))
  two = draw_curves({"AP": curve, "AP50": curve}, "AP", (0, 1))
  assert one.lstrip().startswith(b"<?xml")
  assert b"legend_1" in two
  assert b"legend_1" not in one
