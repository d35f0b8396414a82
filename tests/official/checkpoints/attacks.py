"""Attacks on a reader of pickles: what it must say, and the opcodes.

The gadgets are those that public scanners and their advisories list (fickling, picklescan,
modelscan, the PickleBall paper); the pickles are written here.
"""

import functools
import pickle

from tests.official.checkpoints.pickled import (
  BUILD,
  EMPTY,
  FALSE,
  MARK,
  NEWOBJ,
  NONE,
  REDUCE,
  STACK_GLOBAL,
  call,
  dict_of,
  instance,
  list_of,
  long,
  name,
  number,
  program,
  raw,
  storage,
  tensor,
  text,
  tuple_of,
)

CANARY = "open('canary', 'w').close()"
TOUCH = text("touch canary")
SYSTEM = call("os", "system", TOUCH)

# Each of these runs code where Python's own unpickler reads it; a test below proves that.
LIVE = {
  "os.system": ("calls 'os.system'", SYSTEM),
  "posix.system": ("calls 'posix.system'", call("posix", "system", TOUCH)),
  "subprocess.getoutput": (
    "calls 'subprocess.getoutput'",
    call("subprocess", "getoutput", TOUCH),
  ),
  "subprocess.call": (
    "calls 'subprocess.call'",
    call("subprocess", "call", list_of(text("touch"), text("canary"))),
  ),
  "eval": ("calls 'builtins.eval'", call("builtins", "eval", text(CANARY))),
  "exec of Python 2": (
    "calls 'builtins.exec'",
    call("__builtin__", "exec", text(CANARY)),
  ),
  "open": (
    "calls 'builtins.open'",
    call("builtins", "open", text("canary"), text("w")),
  ),
  "io.open": (
    "calls 'io.open'",
    call("io", "open", text("canary"), text("w")),
  ),
  "runpy": (
    "calls 'builtins.compile'",
    call(
      "runpy",
      "_run_code",
      call("builtins", "compile", text(CANARY), text("a"), text("exec")),
      dict_of(),
    ),
  ),
  "nested reduce": (
    "calls 'builtins.__import__'",
    call("builtins", "getattr", call("builtins", "__import__", text("os")), text("system"))
    + tuple_of(TOUCH)
    + REDUCE,
  ),
  "functools.partial": (
    "calls 'functools.partial'",
    call("functools", "partial", name("os", "system"), TOUCH) + EMPTY + REDUCE,
  ),
  "operator.methodcaller": (
    "calls 'operator.methodcaller'",
    call("operator", "methodcaller", text("system"), TOUCH)
    + tuple_of(call("importlib", "import_module", text("os")))
    + REDUCE,
  ),
  "operator.attrgetter": (
    "calls 'operator.attrgetter'",
    call("operator", "attrgetter", text("system"))
    + tuple_of(call("importlib", "import_module", text("os")))
    + REDUCE
    + tuple_of(TOUCH)
    + REDUCE,
  ),
  "pydoc.locate": (
    "calls 'pydoc.locate'",
    call("pydoc", "locate", text("os.system")) + tuple_of(TOUCH) + REDUCE,
  ),
  "pkgutil.resolve_name": (
    "calls 'pkgutil.resolve_name'",
    call("pkgutil", "resolve_name", text("os:system")) + tuple_of(TOUCH) + REDUCE,
  ),
  "map and list": (
    "calls 'builtins.map'",
    call("builtins", "list", call("builtins", "map", name("os", "system"), list_of(TOUCH))),
  ),
  "defaultdict of a gadget": (
    "imports 'dict.get' from 'builtins'",
    call(
      "builtins", "dict.get", call("collections", "defaultdict", name("os", "getcwd")), text("x")
    )
    + SYSTEM,
  ),
  "timeit": (
    "calls 'timeit.timeit'",
    call("timeit", "timeit", text(CANARY), text("pass"), name("time", "perf_counter"), number(1)),
  ),
  "a pickle in a pickle": (
    "calls 'pickle.loads'",
    call("pickle", "loads", raw(program(SYSTEM))),
  ),
  "torch.load of bytes": (
    "calls 'os.system'",
    call(
      "torch.storage",
      "_load_from_bytes",
      raw(pickle.dumps(0x1950A86A20F9469CFC6C) + program(SYSTEM)),
    ),
  ),
  "numpy's scalar of objects": (
    "has a numpy array of type 'O8'",
    call(
      "numpy.core.multiarray",
      "scalar",
      call("numpy", "dtype", text("O8"), FALSE, FALSE),
      raw(program(SYSTEM)),
    ),
  ),
  "INST": ("uses INST", MARK + TOUCH + b"ios\nsystem\n"),
  "OBJ": ("uses OBJ", MARK + name("os", "system") + TOUCH + b"o"),
  "dotted STACK_GLOBAL": (
    "imports 'os.system' from 'torch'",
    text("torch") + text("os.system") + STACK_GLOBAL + tuple_of(TOUCH) + REDUCE,
  ),
  "dotted and thrown away": (
    "imports 'core._internal.sys' from 'numpy'",
    text("numpy") + text("core._internal.sys") + STACK_GLOBAL + b"0" + SYSTEM,
  ),
  "BUILD on __name__": (
    "changes the state of 'collections.Counter'",
    name("collections", "Counter")
    + tuple_of(NONE, dict_of(text("a"), text("os"), text("b"), text("system")))
    + BUILD
    + b"0"
    + SYSTEM,
  ),
  "__setstate__ by BUILD": (
    "sets '__setstate__' of 'argparse.Namespace'",
    instance("argparse", "Namespace", dict_of(text("__setstate__"), name("os", "system")))
    + TOUCH
    + BUILD,
  ),
  "copyreg": (
    "calls 'copyreg._reconstructor'",
    call("copyreg", "_reconstructor", name("subprocess", "Popen"), name("builtins", "object"), NONE)
    + b"0"
    + SYSTEM,
  ),
  "memo of another name": (
    "calls 'os.system'",
    text("torch")
    + b"q\x00"
    + text("os")
    + b"q\x000"
    + text("system")
    + b"\x940h\x00h\x01"
    + STACK_GLOBAL
    + tuple_of(TOUCH)
    + REDUCE,
  ),
  "in an item of a benign dictionary": (
    "calls 'os.system'",
    dict_of(text("model"), dict_of(text("w"), SYSTEM)),
  ),
  "in a key": ("calls 'os.system'", dict_of(SYSTEM, number(1))),
  "thrown away": ("calls 'os.system'", SYSTEM + b"0" + dict_of()),
  "as hooks of a tensor": (
    "calls 'os.system'",
    tensor(memory=NONE, hooks=SYSTEM),
  ),
  "as arguments of a tensor": (
    "calls 'os.system'",
    call("torch._utils", "_rebuild_tensor_v2", SYSTEM),
  ),
  "after much else": ("calls 'os.system'", b"N0" * 3000 + SYSTEM),
  "protocol 0": ("uses STRING", b"cos\nsystem\n(S'touch canary'\ntR"),
}

HOOK = call("collections", "OrderedDict") + text("a") + name("os", "system") + b"s"


def torch_bytes(value: bytes) -> bytes:
  """`torch.load` of bytes, in which `value` is saved as torch did before 1.6."""
  system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
  head = b"".join(pickle.dumps(each, 2) for each in (0x1950A86A20F9469CFC6C, 1001, system))
  content = head + program(value) + pickle.dumps([], 2)
  return call("torch.storage", "_load_from_bytes", raw(content))


# These do no harm to Python's unpickler alone, or need torch: only refused.
QUIET = {
  "torch.load of a call": ("calls 'os.system'", torch_bytes(SYSTEM)),
  "torch.load of no storage": ("calls _load_from_bytes with odd arguments", torch_bytes(NONE)),
  "torch.load in torch.load": (
    "calls _load_from_bytes with odd arguments",
    functools.reduce(lambda inner, _: torch_bytes(inner), range(300), NONE),
  ),
  "Popen by NEWOBJ": (
    "has an instance of 'subprocess.Popen'",
    name("subprocess", "Popen") + tuple_of(TOUCH) + NEWOBJ,
  ),
  "Popen by NEWOBJ_EX": (
    "uses NEWOBJ_EX",
    name("subprocess", "Popen") + tuple_of(TOUCH) + b"}\x92",
  ),
  "EXT1": ("uses EXT1", b"\x82\x01"),
  "EXT2": ("uses EXT2", b"\x83\x01\x00"),
  "EXT4": ("uses EXT4", b"\x84\x01\x00\x00\x00"),
  "text persistent id": ("uses PERSID", b"Pstorage\n"),
  "persistent id that is a call": ("calls 'os.system'", SYSTEM + b"Q"),
  "persistent id of a string": ("refers to something that is no storage", text("storage") + b"Q"),
  "persistent id of a foreign class": (
    "has a tensor with a storage of 'os.system'",
    storage(kind="system", module="os"),
  ),
  "persistent id of a class that only ends like one": (
    "has a tensor with a storage of 'torch.EvilStorage'",
    storage(kind="EvilStorage"),
  ),
  "persistent id of a quantized class": (
    "has a tensor with a storage of 'torch.QInt8Storage'",
    storage(kind="QInt8Storage"),
  ),
  "persistent id beyond the archive": (
    "'data/../../etc/passwd' is missing in it",
    storage(key="../../etc/passwd"),
  ),
  "persistent id of the pickle itself": (
    "'data/../data.pkl' is missing in it",
    storage(key="../data.pkl"),
  ),
  "calling a tensor": ("calls something that it has made itself", tensor() + EMPTY + REDUCE),
  "calling a string": (
    "calls something that it has made itself",
    text("os.system") + tuple_of(TOUCH) + REDUCE,
  ),
  "arguments that are no tuple": (
    "calls collections.OrderedDict with odd arguments",
    name("collections", "OrderedDict") + list_of() + REDUCE,
  ),
  "NEWOBJ of a string": (
    "makes an instance of something that is no class",
    text("os") + EMPTY + NEWOBJ,
  ),
  "NEWOBJ of a function": (
    "has an instance of 'os.system'",
    name("os", "system") + EMPTY + NEWOBJ,
  ),
  "BUILD on a class": (
    "changes the state of 'torch.nn.modules.module.Module'",
    name("torch.nn.modules.module", "Module") + dict_of() + BUILD,
  ),
  "BUILD on a list": ("changes the state of a list", list_of() + dict_of() + BUILD),
  "BUILD on a tensor": ("changes the state of a LazyArray", tensor() + dict_of() + BUILD),
  "BUILD of __class__": (
    "sets '__class__' of 'torch.nn.Module'",
    instance("torch.nn", "Module", dict_of(text("__class__"), number(1))),
  ),
  "BUILD of __dict__ in slots": (
    "sets '__dict__' of 'models.yolo.Model'",
    instance("models.yolo", "Model", tuple_of(NONE, dict_of(text("__dict__"), dict_of()))),
  ),
  "SETITEMS of __reduce__": (
    "sets '__reduce__' of 'models.D'",
    name("models", "D") + EMPTY + NEWOBJ + text("__reduce__") + NONE + b"s",
  ),
  "state that is a call": (
    "calls 'os.system'",
    instance("models.yolo", "Model", SYSTEM),
  ),
  "state that is a tuple": (
    "the state of 'models.yolo.Model' is a tuple",
    instance("models.yolo", "Model", tuple_of(number(1))),
  ),
  "SETITEM on a list": ("sets items of a list", list_of() + text("a") + text("b") + b"s"),
  "SETITEM on a class": (
    "sets items of 'collections.OrderedDict'",
    name("collections", "OrderedDict") + text("a") + text("b") + b"s",
  ),
  "APPEND to a dictionary": ("appends to a dict", dict_of() + text("a") + b"a"),
  "ADDITEMS to a list": ("adds to a list", list_of() + MARK + text("a") + b"\x90"),
  "defaultdict of os.system": (
    "passes 'os.system' to collections.defaultdict",
    call("collections", "defaultdict", name("os", "system")),
  ),
  "defaultdict of a listed call": (
    "calls collections.defaultdict with odd arguments",
    call("collections", "defaultdict", name("_codecs", "encode")),
  ),
  "a set of sets": ("has a list as a key", call("builtins", "set", list_of(list_of()))),
  "bytes by the gigabyte": (
    "calls bytes with odd arguments",
    call("builtins", "bytearray", number(2_000_000_000)),
  ),
  "encode with a codec": (
    "calls _codecs.encode with odd arguments",
    call("_codecs", "encode", text("a"), text("zlib")),
  ),
  "tensor with hooks": ("calls _rebuild_tensor_v2 with odd arguments", tensor(hooks=HOOK)),
  "tensor with few arguments": (
    "calls _rebuild_tensor_v2 with odd arguments",
    call("torch._utils", "_rebuild_tensor_v2", storage()),
  ),
  "tensor without a storage": (
    "calls _rebuild_tensor with odd arguments",
    tensor(memory=text("0")),
  ),
  "tensor before its storage": (
    "has a tensor of shape (4,), strides (1,), offset -1",
    tensor(offset=number(-1)),
  ),
  "tensor with a backward stride": (
    "has a tensor of shape (4,), strides (-1,), offset 3",
    tensor(offset=number(3), strides=tuple_of(number(-1))),
  ),
  "tensor with a negative shape": (
    "has a tensor of shape (-4,), strides (1,), offset 0",
    tensor(shape=tuple_of(number(-4))),
  ),
  "tensor beyond its storage": (
    "has a tensor of shape (5,), strides (1,), offset 0 outside its storage",
    tensor(shape=tuple_of(number(5))),
  ),
  "tensor offset beyond its storage": (
    "has a tensor of shape (4,), strides (1,), offset 1 outside its storage",
    tensor(offset=number(1)),
  ),
  "tensor stride beyond its storage": (
    "has a tensor of shape (4,), strides (2,), offset 0 outside its storage",
    tensor(strides=tuple_of(number(2))),
  ),
  "tensor of a huge offset": (
    "has a tensor of shape (4,), strides (1,), offset 4149515568880992958512407",
    tensor(offset=long(1 << 600)),
  ),
  "tensor of a terabyte": (
    "has 4 elements expanded to (1099511627776,)",
    tensor(shape=tuple_of(long(1 << 40)), strides=tuple_of(number(0))),
  ),
  "tensor of eighty megabytes": (
    "has 4 elements expanded to (20000000,)",
    tensor(shape=tuple_of(number(20_000_000)), strides=tuple_of(number(0))),
  ),
  "tensor of more dimensions than strides": (
    "has a tensor of shape (2, 2), strides (1,)",
    tensor(shape=tuple_of(number(2), number(2))),
  ),
  "tensor of forty dimensions": (
    "has a tensor of shape (1, 1, 1, 1, 1, 1",
    tensor(shape=tuple_of(*[number(1)] * 40), strides=tuple_of(*[number(1)] * 40)),
  ),
  "tensor of text": (
    "has a tensor of shape ('4',), strides (1,)",
    tensor(shape=tuple_of(text("4"))),
  ),
  "tensor of a true shape": (
    "has a tensor of shape (True,), strides (1,)",
    tensor(shape=tuple_of(b"\x88")),
  ),
  "storage of another size": (
    "storage '0' has 16 bytes where its pickle says 5 float32",
    tensor(memory=storage(size=5)),
  ),
  "storage of negative size": (
    "storage '0' has 16 bytes where its pickle says -4 float32",
    tensor(memory=storage(size=-4)),
  ),
  "empty tensor of a huge shape": (
    "has a tensor of shape (0, 4611686018427387904)",
    tensor(shape=tuple_of(number(0), long(1 << 62)), strides=tuple_of(number(1), number(1))),
  ),
  "empty tensor of huge shapes": (
    "has a tensor of shape (0, 1073741824, 1073741824)",
    tensor(
      shape=tuple_of(number(0), number(1 << 30), number(1 << 30)),
      strides=tuple_of(number(1), number(1), number(1)),
    ),
  ),
  "one element of a huge stride": (
    "has a tensor of shape (1,), strides (41495155",
    tensor(shape=tuple_of(number(1)), strides=tuple_of(long(1 << 600))),
  ),
  "negative truths": (
    "_rebuild_tensor_v2 with odd arguments",
    call(
      *("torch._utils", "_rebuild_tensor_v2", storage(size=16, kind="BoolStorage"), number(0)),
      *(tuple_of(number(4)), tuple_of(number(1)), FALSE, NONE, dict_of(text("neg"), b"\x88")),
    ),
  ),
  "flags that are none": (
    "_rebuild_tensor_v2 with odd arguments",
    call(
      *("torch._utils", "_rebuild_tensor_v2", storage(), number(0), tuple_of(number(4))),
      *(tuple_of(number(1)), FALSE, NONE, text("conj")),
    ),
  ),
  "unknown flags": (
    "_rebuild_tensor_v2 with odd arguments",
    call(
      *("torch._utils", "_rebuild_tensor_v2", storage(), number(0), tuple_of(number(4))),
      *(tuple_of(number(1)), FALSE, NONE, dict_of(text("abs"), b"\x88")),
    ),
  ),
  "numpy array of a huge empty shape": (
    "has a numpy array of shape (0, 4611686018427387904)",
    call(
      *("numpy.core.multiarray", "_reconstruct", name("numpy", "ndarray")),
      *(tuple_of(number(0)), raw(b"b")),
    )
    + tuple_of(
      *(number(1), tuple_of(number(0), long(1 << 62)), call("numpy", "dtype", text("f4"))),
      *(FALSE, raw(b"")),
    )
    + BUILD,
  ),
  "storage of two types": (
    "states storage '0' in two ways",
    list_of(tensor(), tensor(memory=storage(kind="IntStorage"))),
  ),
  "storage that is missing": ("'data/7' is missing in it", tensor(memory=storage(key="7"))),
  "derived tensor made by os.system": (
    "passes 'os.system' to torch._tensor._rebuild_from_type_v2",
    call(
      "torch._tensor",
      "_rebuild_from_type_v2",
      name("os", "system"),
      name("torch", "Tensor"),
      tuple_of(TOUCH),
      NONE,
    ),
  ),
  "derived tensor made by a listed call": (
    "calls _rebuild_from_type_v2 with odd arguments",
    call(
      "torch._tensor",
      "_rebuild_from_type_v2",
      name("builtins", "bytearray"),
      name("torch", "Tensor"),
      tuple_of(raw(b"a")),
      NONE,
    ),
  ),
  "parameter of no tensor": (
    "calls _rebuild_parameter with odd arguments",
    call(
      "torch._utils", "_rebuild_parameter", text("a"), FALSE, call("collections", "OrderedDict")
    ),
  ),
  "numpy array of objects": (
    "has a numpy array of type 'O8'",
    call(
      "numpy.core.multiarray",
      "_reconstruct",
      name("numpy", "ndarray"),
      tuple_of(number(0)),
      raw(b"b"),
    )
    + tuple_of(
      number(1), tuple_of(number(1)), call("numpy", "dtype", text("O8")), FALSE, list_of(SYSTEM)
    )
    + BUILD,
  ),
  "numpy array of another size": (
    "has 4 bytes for a numpy array of float32 (9,)",
    call(
      "numpy.core.multiarray",
      "_reconstruct",
      name("numpy", "ndarray"),
      tuple_of(number(0)),
      raw(b"b"),
    )
    + tuple_of(
      number(1), tuple_of(number(9)), call("numpy", "dtype", text("f4")), FALSE, raw(bytes(4))
    )
    + BUILD,
  ),
  "numpy array of another class": (
    "has odd arguments of numpy's _reconstruct",
    call(
      "numpy.core.multiarray",
      "_reconstruct",
      name("models", "Array"),
      tuple_of(number(0)),
      raw(b"b"),
    ),
  ),
  "numpy array without content": (
    "has a numpy array without content",
    call(
      "numpy.core.multiarray",
      "_reconstruct",
      name("numpy", "ndarray"),
      tuple_of(number(0)),
      raw(b"b"),
    ),
  ),
  "numpy dtype with fields": (
    "has a numpy dtype with an odd state",
    call("numpy", "dtype", text("f4"))
    + tuple_of(
      number(3), text("|"), NONE, tuple_of(text("a")), dict_of(), number(4), number(1), number(0)
    )
    + BUILD,
  ),
  "numpy.load": ("calls 'numpy.load'", call("numpy", "load", text("canary"))),
  "numpy.f2py": (
    "calls 'numpy.f2py.crackfortran.getlincoef'",
    call("numpy.f2py.crackfortran", "getlincoef", text(CANARY), dict_of()),
  ),
  "torch.load": (
    "calls 'torch.serialization.load'",
    call("torch.serialization", "load", text("canary")),
  ),
  "torch.hub": (
    "calls 'torch.hub.load'",
    call("torch.hub", "load", text("a/b"), text("c")),
  ),
  "torch.jit": (
    "calls 'torch.jit.unsupported_tensor_ops.execWrapper'",
    call("torch.jit.unsupported_tensor_ops", "execWrapper", text(CANARY), NONE, NONE),
  ),
  "torch.collect_env": (
    "calls 'torch.utils.collect_env.run'",
    call("torch.utils.collect_env", "run", TOUCH),
  ),
  "torch's compiler": (
    "calls 'torch._inductor.codecache.compile_file'",
    call("torch._inductor.codecache", "compile_file", TOUCH),
  ),
  "two names alike": (
    "has two arrays named 'a.b'",
    dict_of(text("a.b"), tensor(), text("a"), dict_of(text("b"), tensor())),
  ),
  "text that is not UTF-8": ("has a string that is not UTF-8", b"X\x02\x00\x00\x00\xff\xfe"),
  "name of a newline and an escape": (
    "imports 'system' from 'os\\x1b[2J'",
    call("os\x1b[2J", "system", TOUCH),
  ),
  "name that never ends": ("names something without an end", b"c" + b"a" * 5000),
  "name of 300 characters": (
    "imports a name of over 256 characters",
    text("os") + text("a" * 300) + STACK_GLOBAL,
  ),
  "imports a number": (
    "imports something that is not a name",
    text("os") + number(2) + STACK_GLOBAL,
  ),
  "imports from a number": (
    "imports something that is not a name",
    number(2) + text("system") + STACK_GLOBAL,
  ),
  "a name too long to print": ("names of over 1024 characters", dict_of(text("a" * 2000), NONE)),
  "imports what is no text": (
    "imports something that is not a name",
    number(1) + number(2) + STACK_GLOBAL,
  ),
  "a tuple of tuples as a key": (
    "has a tuple as a key",
    dict_of(tuple_of(tuple_of(number(1))), number(1)),
  ),
  "a tuple of seventeen as a key": (
    "has a tuple as a key",
    dict_of(tuple_of(*[number(1)] * 17), NONE),
  ),
  "pairs of three": (
    "calls a dictionary of collections with odd arguments",
    call("collections", "OrderedDict", list_of(list_of(NONE, NONE, NONE))),
  ),
  "storage whose class is a text": (
    "has a tensor with a storage of 'FloatStorage'",
    tensor(memory=storage().replace(name("torch", "FloatStorage"), text("FloatStorage"))),
  ),
  "a list as a key": ("has a list as a key", dict_of(list_of(), number(1))),
  "numbers that hash alike": ("has an int as a key", dict_of(long((1 << 61) - 1), number(1))),
  "empty stack": ("takes from an empty stack", b"R"),
  "only a mark": ("does not end with one value", MARK),
  "no mark": ("has no mark to go back to", b"t"),
  "two values": ("does not end with one value", number(1) + number(2)),
  "no value": ("does not end with one value", b""),
  "memo that was never set": ("asks for value 7, which it has not made", b"h\x07"),
  "memo of nothing": ("takes from an empty stack", b"q\x00"),
  "odd items": ("has a key without a value", b"}(" + text("a") + b"u"),
  "number of a gigabyte": ("has a number of 1073741824 bytes", b"\x8b\x00\x00\x00\x40"),
  "number of negative length": ("has a number of -1 bytes", b"\x8b\xff\xff\xff\xff"),
  "text of a gigabyte": ("is cut short", b"X\x00\x00\x00\x40a"),
  "bytes of an exabyte": ("is cut short", b"\x8e" + b"\xff" * 7 + b"\x0f"),
  "frame of an exabyte": (
    "has a frame that ends after the file",
    b"\x95" + b"\xff" * 7 + b"\x0f" + NONE,
  ),
  "unknown opcode": ("has the unknown opcode 240", b"\xf0"),
  "protocol 9": ("is of protocol 9, which does not exist", b"\x80\x09N"),
  "nested 200 deep": ("nested more than 100 deep", b"]" * 200 + b"a" * 199),
  "nested 100,000 deep": (
    "nested more than 100 deep",
    b"]" * 100_000 + b"a" * 99_999,
  ),
  "tuples 100,000 deep as a key": (
    "has a tuple as a key",
    EMPTY + b"\x85" * 100_000 + b"q\x00}h\x00Ns",
  ),
  "a list in itself": ("nested more than 100 deep", b"]q\x00h\x00a"),
  "a record in itself": (
    "nested more than 100 deep",
    instance("models", "M") + b"q\x00}" + text("a") + b"h\x00sb",
  ),
  "a billion laughs": (
    "has more than 50,000 values",
    b"]" + b"q\x000]h\x00ah\x00ah\x00ah\x00a" * 40,
  ),
  "a million pops": ("is larger than any checkpoint", b"N0" * 500_000),
  "a dictionary copied again and again": (
    "copies more than any checkpoint does",
    dict_of(*(number(i) for i in range(20_000)))
    + b"q\x000"
    + (name("collections", "Counter") + b"h\x00\x85R0") * 50,
  ),
  "a state copied again and again": (
    "copies more than any checkpoint does",
    dict_of(*(text(str(i)) for i in range(20_000)))
    + b"q\x000"
    + (name("models", "M") + EMPTY + NEWOBJ + b"h\x00b0") * 50,
  ),
  "a text copied again and again": (
    "copies more than any checkpoint does",
    text("a" * 100_000)
    + b"q\x000"
    + (name("_codecs", "encode") + b"h\x00" + text("latin1") + b"\x86R0") * 50,
  ),
}
