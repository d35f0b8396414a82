"""A layer as a program: traced, cut into operations, run again with some of them changed."""
