"""The mistakes that are tried, a family a file: each is undone, and the gap measured again."""
