"""The text that a safetensors file carries, without its tensors."""

from __future__ import annotations

from pathlib import Path

import orjson

from modules.errors import BrokenFile
from modules.model_manager.header import LARGEST_HEADER


def read_metadata(path: Path) -> dict[str, str]:
    """Return the `__metadata__` of a safetensors file, nothing for another kind of file.

    Raises `BrokenFile` when it is not the safetensors file it claims to be, OSError when it cannot be read.
    """
    if path.suffix.lower() != ".safetensors":
        return {}
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > LARGEST_HEADER:
            raise BrokenFile("not_safetensors", file=str(path))
        try:
            found = orjson.loads(file.read(length))
        except orjson.JSONDecodeError as error:
            raise BrokenFile("not_safetensors", file=str(path)) from error
    about = found.get("__metadata__") if isinstance(found, dict) else None
    if not isinstance(about, dict):
        return {}
    return {key: value for key, value in about.items() if isinstance(value, str)}
