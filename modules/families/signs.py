"""What a checkpoint's header must show to be of a family: conditions on keys and shapes, written down as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from modules.families.family import Entry, Header

Side = int | tuple[int, ...] | None  # a length, one of several, or any


@dataclass(frozen=True)
class Has:
    """A tensor named `key`, in which one "*" may stand for anything, has the given shape."""

    key: str
    shape: tuple[Side, ...]

    def holds(self, header: Header) -> bool:
        """Return whether the header shows it."""
        return any(_fits(entry.shape, self.shape) for entry in _named(header, self.key))

    def __str__(self) -> str:
        return f"{self.key} [{', '.join(map(_written, self.shape))}]"


@dataclass(frozen=True)
class Lacks:
    """No tensor is named `key`, in which one "*" may stand for anything."""

    key: str

    def holds(self, header: Header) -> bool:
        """Return whether the header shows it."""
        return next(_named(header, self.key), None) is None

    def __str__(self) -> str:
        return f"∄ {self.key}"


Sign = Has | Lacks


def _named(header: Header, key: str) -> Iterator[Entry]:
    before, star, after = key.partition("*")
    if not star:
        if entry := header.entries.get(key):
            yield entry
        return
    for name, entry in header.entries.items():
        if name.startswith(before) and name.endswith(after) and len(name) >= len(before) + len(after):
            yield entry


def _fits(shape: tuple[int, ...], wanted: tuple[Side, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        wants is None or (side in wants if isinstance(wants, tuple) else side == wants)
        for side, wants in zip(shape, wanted, strict=True)
    )


def _written(side: Side) -> str:
    if side is None:
        return "?"
    return "|".join(map(str, side)) if isinstance(side, tuple) else str(side)
