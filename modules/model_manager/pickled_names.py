"""What the names in a pickle of torch stand for: containers, places of tensors, and things that are carried along."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

Maker = Callable[..., Any]

STORAGES: Mapping[str, str] = MappingProxyType(
    {"Double": "F64", "Float": "F32", "Half": "F16", "BFloat16": "BF16"}
    | {"Long": "I64", "Int": "I32", "Short": "I16", "Char": "I8", "Byte": "U8", "Bool": "BOOL"}
)
DTYPES: Mapping[str, str] = MappingProxyType(
    {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}
    | {"float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "uint64": "U64", "uint32": "U32", "uint16": "U16"}
    | {"int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL"}
)
NUMPY: Mapping[str, str] = MappingProxyType(
    {"f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "i2": "h", "i1": "b"}
    | {"u8": "Q", "u4": "I", "u2": "H", "u1": "B", "b1": "?"}
)
# Modules whose classes say nothing about weights and are only carried along by trainers.
CARRIED = ("pytorch_lightning", "lightning", "lightning_fabric", "omegaconf", "torchmetrics", "typing", "datetime")
CARRIED_NAMES = frozenset(
    {"argparse.Namespace", "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath"}
    | {f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("complex", "slice", "range", "object")}
    | {
        f"{module}.{name}"
        for module in ("builtins", "__builtin__")
        for name in ("int", "long", "float", "str", "bool", "bytes")
    }
    | {"numpy.ndarray", "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"}
    | {"torch.Tensor", "torch.nn.parameter.Parameter"}
)


@dataclass(frozen=True)
class Storage:
    """A run of numbers beside the pickle: its name there; `dtype` is empty when each tensor says its own."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True)
class Placed:
    """A tensor: `offset` and `strides` count numbers of `dtype` within its storage."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Named:
    """Something the pickle calls by its name, "module.name"."""

    name: str


@dataclass(frozen=True)
class Inert:
    """An object that is only carried along; what it is made of is left out."""

    name: str


def is_known(name: str) -> bool:
    """Tell whether a pickle may call this: it makes a container or a tensor, or is only carried along."""
    module, _, last = name.rpartition(".")
    carried = module.partition(".")[0] in CARRIED and last[:1].isupper()
    return name in MAKERS or name in CARRIED_NAMES or carried or bool(storage_dtype(name)) or _is_dtype(name)


def _is_dtype(name: str) -> bool:
    return name.startswith("torch.") and name.removeprefix("torch.") in DTYPES


def key_text(value: Any) -> str:
    """Return a dict's key as text; a nested one is never hashed."""
    if isinstance(value, str):
        return value
    return value.name if isinstance(value, Named | Inert) else str(value) if isinstance(value, int | float) else "?"


def storage_of(about: Any) -> Storage:
    """Read torch's persistent id: ("storage", its type, its name, where it was, how many numbers, …)."""
    word, kind, key, _, count = about[:5]
    dtype = storage_dtype(kind.name)
    if word != "storage" or not dtype or not isinstance(key, str) or not _whole(count):
        raise ValueError("not a storage")
    return Storage(key, "" if dtype == "?" else dtype, count)


def storage_dtype(name: str) -> str:
    """Return the dtype of one of torch's storage classes, "?" for the one that has none, "" for no such class."""
    module, _, kind = name.rpartition(".")
    if module not in ("torch", "torch.storage", "torch.cuda") or not kind.endswith("Storage"):
        return ""
    return "?" if kind == "UntypedStorage" else STORAGES.get(kind.removesuffix("Storage"), "")


def _tensor(storage: Storage, offset: int, shape: Any, strides: Any, *more: Any) -> Placed:
    dtype = storage.dtype
    if len(more) > 2 and isinstance(more[2], Named):  # version 3 gives the dtype of an untyped storage
        dtype = DTYPES[more[2].name.removeprefix("torch.")]
    shape, strides = tuple(shape), tuple(strides)
    if not dtype or len(shape) != len(strides) or not all(map(_whole, (offset, *shape, *strides))):
        raise ValueError("not a tensor")
    return Placed(storage, dtype, offset, shape, strides)


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


def _of_type(maker: Any, _: Any, arguments: Any, *__: Any) -> Any:
    """Rebuild a tensor that had attributes of its own: they are left out."""
    return MAKERS[maker.name](*arguments)


def _dict(pairs: Any = (), *_: Any) -> dict[str, Any]:
    if isinstance(pairs, dict):
        return dict(pairs)
    return {key_text(key): value for key, value in pairs} if isinstance(pairs, list | tuple) else {}


def _empty(*_: Any) -> dict[str, Any]:
    """Return a dict whose maker of defaults is left out."""
    return {}


def _list(items: Any = (), *_: Any) -> list[Any]:
    return list(items) if isinstance(items, list | tuple) else []


def _device(*words: Any) -> str:
    return ":".join(map(str, words))


def _encoded(text: str, coding: str = "latin1", *_: Any) -> bytes:
    """Return bytes as old protocols write them: as text of equally many characters."""
    if coding not in ("latin1", "latin-1"):
        raise ValueError(coding)
    return text.encode("latin1")


def _numpy_dtype(name: str, *_: Any) -> str:
    return str(name)


def _numpy_scalar(dtype: str, data: Any = b"", *_: Any) -> Any:
    code = NUMPY.get(dtype.lstrip("<|="))
    return struct.unpack(f"<{code}", data)[0] if code and isinstance(data, bytes) else Inert("numpy.scalar")


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


MAKERS: Mapping[str, Maker] = MappingProxyType[str, Maker](
    {
        "builtins.dict": _dict,
        "__builtin__.dict": _dict,
        "builtins.set": _list,
        "__builtin__.set": _list,
        "builtins.frozenset": _list,
        "__builtin__.frozenset": _list,
        "builtins.list": _list,
        "__builtin__.list": _list,
        "builtins.tuple": _list,
        "__builtin__.tuple": _list,
        "collections.OrderedDict": _dict,
        "collections.Counter": _dict,
        "collections.defaultdict": _empty,
        "collections.deque": _list,
        "torch._utils._rebuild_tensor": _tensor,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_tensor_v3": _tensor,
        "torch._utils._rebuild_parameter": _parameter,
        "torch._utils._rebuild_parameter_with_state": _parameter,
        "torch._tensor._rebuild_from_type_v2": _of_type,
        "torch.Size": _list,
        "torch.device": _device,
        "torch.nn.modules.container.ParameterDict": _dict,
        "_codecs.encode": _encoded,
        "numpy.dtype": _numpy_dtype,
        "numpy.core.multiarray.scalar": _numpy_scalar,
        "numpy._core.multiarray.scalar": _numpy_scalar,
    }
)
