"""A project's standing on the terminal, as a page, and as a badge."""
