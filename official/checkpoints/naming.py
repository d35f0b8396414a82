"""What the names of parameters say: where they belong and which part of a layer they are."""

import dataclasses
import functools
import re

# Parts of layers: the last word of a parameter's name → what it is, whatever the framework.
_ROLES = {
  "weight": "weight",
  "depthwise_kernel": "weight",
  "kernel": "weight",
  "embeddings": "weight",
  "gamma": "weight",
  "bias": "bias",
  "beta": "bias",
  "running_mean": "mean",
  "moving_mean": "mean",
  "running_var": "variance",
  "moving_variance": "variance",
}
_ROLE = re.compile(rf"(.*?)[._/]?({'|'.join(_ROLES)})")

# Words that mean the same, by the word that stands for them.
_MEANINGS = {
  "norm": "bn ln gn batchnorm layernorm groupnorm normalization",
  "conv": "convolution convolutional",
  "linear": "fc dense lin",
  "attention": "attn mha",
  "query": "q",
  "key": "k",
  "value": "v",
  "projection": "proj project",
  "shortcut": "downsample skip residual",
  "embedding": "embed embedder emb",
  "ffn": "mlp intermediate",
  "depthwise": "dw dwconv",
  "pointwise": "pw pwconv",
  "squeeze": "reduce reduction",
  "excite": "expand expansion excitation",
  "class": "cls classifier classes prediction logit label",
  "box": "bbox boxes",
  "cross": "encdec multihead",
}
_MEANING = {word: meaning for meaning, words in _MEANINGS.items() for word in words.split()}
# Kernel sizes and ranks, which shapes tell: conv_3x3, conv2d.
_SIZES = re.compile(r"(?<=[a-z_])[123]d(?![a-z])|(?<!\d)\d+x\d+(?!\d)", re.IGNORECASE)
_GLUED = re.compile(r"batch_?norm\w*|layer_?norm\w*|group_?norm\w*|in_proj", re.IGNORECASE)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@dataclasses.dataclass(frozen=True)
class Name:
  """A parameter's name, read.

  Attributes:
    words: where it belongs, outermost first; numbers are words.
    role: "weight", "bias", "mean" or "variance" of its layer.
    module: the name without its role.
  """

  words: tuple[str, ...]
  role: str
  module: str


@functools.cache
def read(name: str) -> Name:
  """What `name` says. A name that is no known part of a layer is a weight of its own."""
  path, separator, last = _rpartition(name)
  found = _ROLE.fullmatch(last)
  if not found:
    return Name(words(name), "weight", name)
  module = path + (separator + found[1] if found[1] else "")
  return Name(words(module), _ROLES[found[2]], module)


def words(path: str) -> tuple[str, ...]:
  """The words of `path`, those that mean the same made the same."""
  path = _GLUED.sub(_unglued, _SIZES.sub("", path))
  return tuple(map(_meaning, map(str.lower, _WORD.findall(path))))


def _meaning(word: str) -> str:
  one = word.removesuffix("s") if len(word) > 3 else word
  return _MEANING.get(word) or _MEANING.get(one) or one


def _unglued(found: re.Match[str]) -> str:
  """One word for what is written in several ways, glued or not; numbers behind it stay."""
  if found[0].lower() == "in_proj":
    return "qkv"
  return "norm" + re.sub(r"^(batch|layer|group)_?norm(alization)?", "", found[0].lower())


def _rpartition(name: str) -> tuple[str, str, str]:
  index = max(name.rfind("."), name.rfind("/"))
  return (name[:index], name[index], name[index + 1 :]) if index >= 0 else ("", "", name)


def last_word(name: str) -> str:
  """The last part of the path `name`."""
  return _rpartition(name)[2]
