"""Files of `torch.save` (.ckpt, .pt, .pth, .bin) as data: which tensors lie where, and the plain values beside them.

The zip holds its storages as they are, so that a tensor maps from the file as one of a safetensors file does. torch is
not needed, and nothing of the pickle inside is run (`pickled.py`).
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

from modules.errors import BrokenFile
from modules.families.family import Entry
from modules.model_manager.pickled import read_pickle
from modules.model_manager.pickled_names import Inert, Named, Placed, Storage

Span = tuple[int, int]  # where it begins in the file, how many bytes it has

ZIP, WEB_PAGE = b"PK\x03\x04", b"<"
OLD_MAGIC = 0x1950A86A20F9469CFC6C
LARGEST_PICKLE = 64 * 2**20  # bytes; a checkpoint's is well below one
DEEPEST, MOST_VALUES, LONGEST_PATH = 40, 500_000, 1000
COUNT = struct.Struct("<q")
LOCAL = struct.Struct("<4s22xHH")  # a member's own header: signature, …, length of its name, length of what follows it
BYTES: Mapping[str, int] = MappingProxyType(
    {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}
    | {"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
)
MALFORMED = (OSError, ValueError, KeyError, NotImplementedError, RuntimeError, struct.error, zipfile.BadZipFile)


@dataclass(frozen=True)
class TorchFile:
    """What a file of torch holds, by dotted path: its tensors, and every other value that is plain.

    Positions in lists and numbers as keys count as names ("320.0.linear.0.weight"). A list of plain values is one
    value.
    """

    entries: Mapping[str, Entry]
    values: Mapping[str, Any]


def read_torch(path: Path) -> TorchFile:
    """Return what lies where in a file of `torch.save`.

    A "state_dict" inside is unwrapped; tensors beside it are left out. Raises `UnsafeFile` for a pickle that would run
    something, `BrokenFile` for what cannot be read: not a whole file, compressed, TorchScript, tensors in an odd order.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            if start.lstrip().startswith(WEB_PAGE):
                raise BrokenFile("web_page", file=str(path))
            return _read_zip(path, file) if start.startswith(ZIP) else _read_old(path, file)
    except MALFORMED as error:
        raise BrokenFile("not_torch", file=str(path)) from error


def _read_zip(path: Path, file: BinaryIO) -> TorchFile:
    """Read what torch has written since 1.6: a zip of one pickle and a member for each storage."""
    size = path.stat().st_size
    with zipfile.ZipFile(file) as opened:
        members = {member.filename: member for member in opened.infolist()}
        pickles = [name for name in members if name.rpartition("/")[2] == "data.pkl"]
        if len(members) != len(opened.infolist()) or len(pickles) != 1:
            raise ValueError("not torch's zip")
        folder = pickles[0].removesuffix("data.pkl")
        if f"{folder}constants.pkl" in members:
            raise BrokenFile("torch_script", file=str(path))
        if any(member.compress_type != zipfile.ZIP_STORED for member in members.values()):
            raise BrokenFile("torch_compressed", file=str(path))
        order = members.get(f"{folder}byteorder")
        if members[pickles[0]].file_size > LARGEST_PICKLE or (order is not None and opened.read(order) != b"little"):
            raise ValueError("too long a pickle, or another byte order")
        top = read_pickle(io.BytesIO(opened.read(pickles[0])), str(path))

        def place(storage: Storage) -> Span:
            member = members[f"{folder}data/{storage.key}"]
            file.seek(member.header_offset)
            signature, name, extra = LOCAL.unpack(file.read(LOCAL.size))
            start = member.header_offset + LOCAL.size + name + extra
            if signature != ZIP or start + member.file_size > size:
                raise ValueError("a member lies outside")
            return start, member.file_size

        return _laid_out(path, top, place)


def _read_old(path: Path, file: BinaryIO) -> TorchFile:
    """Read what torch wrote before 1.6, as networks for upscaling still are: five pickles, then storage by storage."""
    pickles = _Bounded(file)
    if read_pickle(pickles, str(path)) != OLD_MAGIC:
        raise ValueError("not torch's")
    _, _, top, keys = (read_pickle(pickles, str(path)) for _ in range(4))  # a version and a system come before
    widths = {each.storage.key: BYTES[each.storage.dtype] for _, each in _flat(top) if isinstance(each, Placed)}
    spans: dict[str, Span] = {}
    start, size = file.tell(), path.stat().st_size
    for key in keys:
        file.seek(start)
        count = COUNT.unpack(file.read(COUNT.size))[0]
        if key not in widths or count < 0:
            raise ValueError("a storage of unknown width")
        spans[key] = start + COUNT.size, count * widths[key]
        start = sum(spans[key])
    if start > size:
        raise ValueError("cut off")
    return _laid_out(path, top, lambda storage: spans[storage.key])


class _Bounded:
    """A file of which no more than a pickle's length is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._left = file, LARGEST_PICKLE

    def read(self, count: int) -> bytes:
        """Return so many bytes, fewer at the end."""
        return self._counted(self._file.read(min(count, self._left)))

    def readline(self) -> bytes:
        """Return bytes up to and with the next line feed."""
        return self._counted(self._file.readline(self._left))

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        return data


def _laid_out(path: Path, top: Any, place: Callable[[Storage], Span]) -> TorchFile:
    inner = top.get("state_dict") if isinstance(top, dict) else None
    tensors = inner if isinstance(inner, dict) else top
    beside = {key: value for key, value in top.items() if key != "state_dict"} if tensors is inner and inner else {}
    spans: dict[str, Span] = {}
    entries: dict[str, Entry] = {}
    values: dict[str, Any] = {name: value for name, value in _flat(beside) if not isinstance(value, Placed)}
    for name, value in _flat(tensors):
        if not isinstance(value, Placed):
            values[name] = value
            continue
        if value.storage.key not in spans:
            spans[value.storage.key] = place(value.storage)
        entries[name] = _entry(path, name, value, *spans[value.storage.key])
    return TorchFile(entries, values)


def _flat(top: Any) -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, tensor or plain value); what is deeper or more than any model has is an error."""
    waiting: list[tuple[str, Any, int]] = [("", top, 0)]
    seen = 0  # one list may stand in many places: what counts is how often it would be looked through
    while waiting:
        path, value, depth = waiting.pop()
        seen += len(value) + 1 if isinstance(value, dict | list | tuple) else 1
        if seen > MOST_VALUES or depth > DEEPEST or len(path) > LONGEST_PATH:
            raise ValueError("too much, or too deep")
        if isinstance(value, dict):
            inner = list(value.items())
        elif isinstance(value, list | tuple) and any(isinstance(each, dict | list | tuple | Placed) for each in value):
            inner = [(str(number), each) for number, each in enumerate(value)]
        elif isinstance(value, Inert):
            continue
        else:
            yield path, _plain(value)
            continue
        dot = "." if path else ""
        waiting.extend((f"{path}{dot}{key[:LONGEST_PATH]}", each, depth + 1) for key, each in reversed(inner))


def _plain(value: Any) -> Any:
    """Return a value without what only this reader knows."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value if not isinstance(each, Inert)]
    return value.name if isinstance(value, Named) else value


def _entry(path: Path, name: str, placed: Placed, start: int, room: int) -> Entry:
    """Return where a tensor lies; it must lie inside its storage, its numbers one after another."""
    width, count = BYTES[placed.dtype], math.prod(placed.shape)
    begin = placed.offset * width
    if begin + count * width > room:
        raise BrokenFile("tensor_place", file=str(path), tensor=name[:80])
    turned = _in_order(placed.shape[::-1], placed.strides[::-1]) and len(placed.shape) == 2
    if count and not turned and not _in_order(placed.shape, placed.strides):
        raise BrokenFile("torch_strides", file=str(path), tensor=name[:80])
    transposed = bool(count) and not _in_order(placed.shape, placed.strides)
    return Entry(path, placed.dtype, placed.shape, start + begin, count * width, transposed)


def _in_order(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Tell whether the last side runs fastest and nothing lies between."""
    expected = 1
    for side, stride in zip(reversed(shape), reversed(strides), strict=True):
        if side != 1 and stride != expected:
            return False
        expected *= side
    return True
