"""A quick look into a safetensors file: the text it carries and what its tensors are, checked only as a whole.

Thousands of files are looked at this way; what is loaded is read by `header.py`, which checks every tensor.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from modules.errors import BrokenFile
from modules.model_manager.header import LARGEST_HEADER, read_safetensors

TEXT = "__metadata__"
_BETWEEN = ", \t\r\n"
_DECODER = json.JSONDecoder()
_FIRST = re.compile(rf'\{{\s*"{TEXT}"\s*:\s*')  # how most programs begin a header


@dataclass(frozen=True)
class Peek:
    """The text by name; `table`, the rest of the header as it stands; and how many bytes of tensors follow it."""

    text: dict[str, str]
    table: str
    room: int


@dataclass(frozen=True)
class Tensors:
    """What a table says: shapes by key, and the bytes its tensors fill; -1 when they overlap or leave holes."""

    shapes: Mapping[str, tuple[int, ...]]
    filled: int


def peek(path: Path) -> Peek:
    """Return what a safetensors file says it holds.

    Raises `BrokenFile` when it cannot be read as one, OSError when it cannot be read at all.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length <= min(LARGEST_HEADER, size - 8) else b""
    try:
        found = header.decode("utf-8")
        first = _FIRST.match(found)
        if first is None:
            return Peek(_texts(json.loads(found).get(TEXT)), found, size - 8 - length)
        text, end = _DECODER.raw_decode(found, first.end())
        return Peek(_texts(text), f"{{{found[end:].lstrip(_BETWEEN)}", size - 8 - length)
    except (ValueError, AttributeError, RecursionError) as error:
        refuse(path)
        raise BrokenFile("not_safetensors", file=str(path)) from error


def tensors_of(table: str) -> Tensors:
    """Read a table. One that cannot be understood fills -1 bytes."""
    try:
        found = orjson.loads(table)
        found.pop(TEXT, None)
        spans = [about["data_offsets"] for about in found.values()]
        filled = sum(last - first for first, last in spans)
        whole = filled == max((last for _, last in spans), default=0)
        return Tensors({key: tuple(about["shape"]) for key, about in found.items()}, filled if whole else -1)
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError):
        return Tensors({}, -1)


def refuse(path: Path) -> None:
    """Say exactly what is wrong with a file whose tensors do not fill it: raises `BrokenFile` unless nothing is."""
    for _ in read_safetensors(path):
        pass


def text_of(path: Path) -> dict[str, str]:
    """Return the text that a safetensors file carries, nothing for another kind of file; raises as `peek` does."""
    return peek(path).text if path.suffix.lower() == ".safetensors" else {}


def _texts(about: object) -> dict[str, str]:
    return {key: text for key, text in about.items() if isinstance(text, str)} if isinstance(about, dict) else {}
