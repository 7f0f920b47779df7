"""A quick look into a safetensors file: the text it carries and what its tensors are, checked only as a whole.

Thousands of files are looked at this way; what is loaded is read by `header.py`, which checks every tensor.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from modules.errors import BrokenFile
from modules.model_manager.header import LARGEST_HEADER, read_safetensors

TEXT = "__metadata__"
_FIRST = f'{{"{TEXT}":'  # how most programs begin a header


@dataclass(frozen=True)
class Peek:
    """The text by name, and the tensors by key as the file describes them ("dtype", "shape", "data_offsets")."""

    text: dict[str, str]
    tensors: dict[str, Any]


def peek(path: Path) -> Peek:
    """Return what a safetensors file says it holds.

    Raises `BrokenFile` when its tensors are not what fills the file, OSError when it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length <= min(LARGEST_HEADER, size - 8) else b""
    try:
        tensors = orjson.loads(header)
        text = tensors.pop(TEXT, None) or {}
        spans = [about["data_offsets"] for about in tensors.values()]
        filled = sum([last - first for first, last in spans])
        whole = filled == max((last for _, last in spans), default=0) == size - 8 - length
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        tensors = {key: {"dtype": entry.dtype, "shape": entry.shape} for key, entry in read_safetensors(path)}
        text = {}
    return Peek(_texts(text), tensors)


def text_of(path: Path) -> dict[str, str]:
    """Return the text that a safetensors file carries, nothing for another kind of file.

    Raises `BrokenFile` when it is not the file it claims to be, OSError when it cannot be read.
    """
    if path.suffix.lower() != ".safetensors":
        return {}
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > LARGEST_HEADER:
            raise BrokenFile("not_safetensors", file=str(path))
        header = file.read(length)
    try:
        found = header.decode("utf-8")
        if found.startswith(_FIRST):
            return _texts(json.JSONDecoder().raw_decode(found, len(_FIRST))[0])
        return _texts(json.loads(found).get(TEXT))
    except (ValueError, AttributeError, RecursionError) as error:
        raise BrokenFile("not_safetensors", file=str(path)) from error


def _texts(about: object) -> dict[str, str]:
    return {key: text for key, text in about.items() if isinstance(text, str)} if isinstance(about, dict) else {}
