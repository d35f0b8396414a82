"""torch's element types and storage classes, as numpy's types."""

from typing import Any

import ml_dtypes
import numpy as np

from official.checkpoints.pickles.values import Global
from official.checkpoints.problems import UNSUPPORTED, Unreadable, shown

_NUMPY = (
  *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
  *("float16", "float32", "float64", "complex64", "complex128"),
)
_EXTENDED = ("bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")

DTYPES = {
  **{name: np.dtype(name) for name in _NUMPY},
  **{name: np.dtype(getattr(ml_dtypes, name)) for name in _EXTENDED},
}
# Those of quantized numbers are missing: numpy has no such types.
STORAGES = {
  "BFloat16Storage": DTYPES["bfloat16"],
  "BoolStorage": np.dtype("bool"),
  "ByteStorage": np.dtype("uint8"),
  "CharStorage": np.dtype("int8"),
  "ComplexDoubleStorage": np.dtype("complex128"),
  "ComplexFloatStorage": np.dtype("complex64"),
  "DoubleStorage": np.dtype("float64"),
  "FloatStorage": np.dtype("float32"),
  "HalfStorage": np.dtype("float16"),
  "IntStorage": np.dtype("int32"),
  "LongStorage": np.dtype("int64"),
  "ShortStorage": np.dtype("int16"),
  "UntypedStorage": np.dtype("uint8"),
}


def storage_dtype(kind: Any) -> np.dtype:
  """The type of the elements of a storage class such as `torch.FloatStorage`.

  Raises:
    Unreadable: it is none, or one that numpy has no type for (quantized).
  """
  if isinstance(kind, Global) and kind.listed and kind.name in STORAGES:
    return STORAGES[kind.name]
  raise Unreadable(f"it has a tensor with a storage of {shown(str(kind))}", UNSUPPORTED)
