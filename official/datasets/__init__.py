"""COCO-style data: the built-in shapes, conversion to TFRecord and TFDS, and reading helpers."""
