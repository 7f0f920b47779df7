"""Hashes of model files, as A1111 works them out."""

from __future__ import annotations

import hashlib
from pathlib import Path

NETWORK_DIGITS = 12


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def network_hash_of(path: Path) -> str:
    """Return the first twelve digits of SHA-256 of a safetensors file's tensors alone; empty for another file.

    It is what A1111 writes for a LoRA: it stays the same when the text in the file's header is edited. Raises OSError.
    """
    if path.suffix.lower() != ".safetensors":
        return ""
    with path.open("rb") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        return hashlib.file_digest(file, "sha256").hexdigest()[:NETWORK_DIGITS]
