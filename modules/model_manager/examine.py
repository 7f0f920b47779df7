"""What a file is, by its header alone: its family, what its trainer called it, or why it cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modules.errors import ModelError
from modules.families.family import Defaults, Family, Header
from modules.model_manager.header import read_header
from modules.model_manager.identify import identify

RULES = 1  # raised when files must be examined again, because more is known of them


@dataclass(frozen=True)
class Facts:
    """What a file says of itself, kept until it changes."""

    family: str = ""
    native_size: int = 0
    alias: str = ""
    network_hash: str = ""
    problem: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    defaults: Defaults | None = None


def examine(path: Path, kind: str, families: Mapping[str, Family]) -> Facts:
    """Return what the file at `path` is; what is wrong with it comes back as a problem."""
    try:
        header = read_header(path)
        return _checkpoint(header, families) if kind == "checkpoint" else Facts()
    except ModelError as error:
        return Facts(problem=error.key, values={name: str(value) for name, value in error.values.items()})
    except OSError as error:
        return Facts(problem="unreadable", values={"file": path.name, "reason": error.strerror or ""})


def weights_of(path: Path, kind: str, families: Mapping[str, Family]) -> Path:
    """Return the file whose SHA-256 identifies a model: itself, or one of a folder's."""
    if not path.is_dir():
        return path
    header = read_header(path)
    return identify(header, families).weights(header)


def _checkpoint(header: Header, families: Mapping[str, Family]) -> Facts:
    family = identify(header, families)
    return Facts(family.name, family.native_size(header))
