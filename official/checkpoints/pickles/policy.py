"""What a pickle may name, call and make, library by library. Nothing else can be used.

Three lists, because they grant different things: a *global* may be handed around (a dtype), a
*call* may be reduced, and is interpreted by us; of a class in a *record* module there may be
instances, which are read as their attributes. None of the three runs code of the file or of the
library.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

from official.checkpoints.pickles import numpy_calls, python_calls, torch_calls
from official.checkpoints.pickles.values import Global, Record
from official.checkpoints.problems import UNSUPPORTED, UNTRUSTED, Unreadable, shown

Call = Callable[[tuple[Any, ...]], Any]

_MAX_NAME = 256
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
# The same modules under the names of Python 2 and of numpy 2.
_RENAMED = {"__builtin__": "builtins", "numpy._core": "numpy.core"}


@dataclasses.dataclass(frozen=True)
class Library:
  """What pickles of one library may contain.

  Attributes:
    name: of the library.
    globals: "module.name" of values and types that may be arguments.
    calls: "module.name" of functions that may be called → what stands for the call.
    records: modules, with all below them, of whose classes there may be instances.
  """

  name: str
  globals: frozenset[str] = frozenset()
  calls: Mapping[str, Call] = dataclasses.field(default_factory=dict)
  records: tuple[str, ...] = ()


LIBRARIES = (
  Library("Python", python_calls.GLOBALS, python_calls.CALLS, ("argparse", "__main__")),
  Library("numpy", numpy_calls.GLOBALS, numpy_calls.CALLS),
  Library(
    "torch",
    torch_calls.GLOBALS,
    torch_calls.CALLS,
    ("torch.nn", "torch.optim", "torch.amp", "torch.cuda.amp"),
  ),
  Library("torchvision", records=("torchvision",)),
  Library("timm", records=("timm",)),
  Library("detectron2", records=("detectron2", "fvcore")),
  Library("YOLOv5, YOLOv7, DETR, run in their own folders", records=("models", "utils")),
  Library("ScaledYOLOv4", records=("mish_cuda",)),
  Library("ultralytics", records=("ultralytics",)),
  Library("YOLOX", records=("yolox",)),
  Library("OpenMMLab", records=("mmengine", "mmcv", "mmdet", "mmseg")),
  Library("Lightning", records=("lightning", "lightning_fabric", "pytorch_lightning")),
  Library("transformers", records=("transformers",)),
)

_CALLS = {name: call for library in LIBRARIES for name, call in library.calls.items()}
_GLOBALS = frozenset().union(*(library.globals for library in LIBRARIES))
_RECORDS = tuple(module for library in LIBRARIES for module in library.records)


def find(module: str, name: str) -> Global:
  """The global `name` of `module`, listed or not; nothing is imported.

  Raises:
    Unreadable: it is no plain name; one with dots would reach through what a module imports.
  """
  if len(module) > _MAX_NAME or len(name) > _MAX_NAME:
    raise Unreadable("its pickle imports a name of over 256 characters", UNTRUSTED)
  for old, new in _RENAMED.items():
    if module == old or module.startswith(f"{old}."):
      module = new + module[len(old) :]
  if not (_MODULE.fullmatch(module) and _NAME.fullmatch(name)):
    raise Unreadable(f"its pickle imports {shown(name)} from {shown(module)}", UNTRUSTED)
  full = f"{module}.{name}"
  return Global(module, name, full in _CALLS or full in _GLOBALS or _is_record(module))


def call(function: Any, arguments: Any) -> Any:
  """What REDUCE makes: the call of `function`, if it is on the list, as we interpret it.

  Raises:
    Unreadable: it is not, or its arguments are not those that its library writes.
  """
  if not isinstance(function, Global):
    raise Unreadable("its pickle calls something that it has made itself", UNTRUSTED)
  interpreted = _CALLS.get(str(function))
  if interpreted is None:
    raise Unreadable(f"its pickle calls {shown(str(function))}, which is not allowed", UNTRUSTED)
  if not isinstance(arguments, tuple):
    raise Unreadable(f"its pickle calls {function} with odd arguments", UNTRUSTED)
  for argument in arguments:
    if isinstance(argument, Global) and not argument.listed:
      raise Unreadable(f"its pickle passes {shown(str(argument))} to {function}", UNTRUSTED)
  return interpreted(arguments)


def instance(kind: Any, arguments: Any) -> Record:
  """What NEWOBJ makes: an instance of the class `kind`, as a record.

  Raises:
    Unreadable: no instances of it are read.
  """
  if not isinstance(kind, Global) or not isinstance(arguments, tuple):
    raise Unreadable("its pickle makes an instance of something that is no class", UNTRUSTED)
  if not _is_record(kind.module):
    what = f"its pickle has an instance of {shown(str(kind))}, which is not read"
    raise Unreadable(what, UNSUPPORTED)
  return Record(kind, arguments)


def _is_record(module: str) -> bool:
  return any(module == known or module.startswith(f"{known}.") for known in _RECORDS)
