"""Hashes of model files, as A1111 works them out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

NETWORK_DIGITS = 12
_CHUNK = 2**20  # bytes


def sha256_of(path: Path, going: Callable[[], bool] = lambda: True) -> str:
    """Return the SHA-256 of a file, empty when `going` said no meanwhile; raises OSError."""
    return _digest(path, 0, going)


def network_hash_of(path: Path, going: Callable[[], bool] = lambda: True) -> str:
    """Return the first twelve digits of SHA-256 of a safetensors file's tensors alone; empty for another file.

    It is what A1111 writes for a LoRA: it stays the same when the text in the file's header is edited. Raises OSError.
    """
    if path.suffix.lower() != ".safetensors":
        return ""
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    return _digest(path, 8 + header, going)[:NETWORK_DIGITS]


def _digest(path: Path, start: int, going: Callable[[], bool]) -> str:
    digest = hashlib.sha256()
    chunk = bytearray(_CHUNK)
    view = memoryview(chunk)
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while count := file.readinto(chunk):
            if not going():
                return ""
            digest.update(view[:count])
    return digest.hexdigest()
