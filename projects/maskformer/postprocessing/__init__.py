"""The original's inference rules: from logits to segments and labels at the image's own size."""
