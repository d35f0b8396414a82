"""The commands of documents: those of shell blocks, and those between single backquotes."""

import re

_STARTS = re.compile(r"(?:python|make|pytest|pip) [^\n`]+")


def commands(text):
  """Commands of Markdown, in its order, without remarks; lines that a backslash ends are joined."""
  found = []
  for part in re.split(r"(```.*?```)", text, flags=re.S):
    block = re.fullmatch(r"```(?:sh)?\n(.*?)```", part, re.S)
    if block:
      found += [line.strip() for line in joined(block[1]).splitlines() if line.strip()]
    elif not part.startswith("```"):
      inline = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", part)
      found += [command for command in inline if _STARTS.match(command)]
  return [re.sub(r"\s+#\s.*$", "", command) for command in found]


def in_header(text):
  """Commands in the remarks that begin a YAML file."""
  header = "".join(line[1:] for line in text.splitlines(True) if line.startswith("#"))
  return _STARTS.findall(joined(header))


def joined(text):
  """Lines that end with a backslash, with those behind them."""
  return re.sub(r"\\\n\s*", "", text)
