"""What a checkpoint's header must show to be of a family: conditions on keys and shapes, written down as data."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from modules.families.family import Header

Side = int | tuple[int, ...] | None  # a length, one of several, or any


@dataclass(frozen=True)
class Has:
    """A tensor whose key matches `key` (as a file name would: "*" is anything) has the given shape, if any does."""

    key: str
    shape: tuple[Side, ...]

    def holds(self, header: Header) -> bool:
        """Return whether the header shows it."""
        return any(_fits(entry.shape, self.shape) for name, entry in header.entries.items() if _named(name, self.key))

    def __str__(self) -> str:
        sides = (
            "?" if side is None else "|".join(map(str, side)) if isinstance(side, tuple) else side
            for side in self.shape
        )
        return f"{self.key} [{', '.join(map(str, sides))}]"


@dataclass(frozen=True)
class Lacks:
    """There is no tensor whose key matches `key`."""

    key: str

    def holds(self, header: Header) -> bool:
        """Return whether the header shows it."""
        return not any(_named(name, self.key) for name in header.entries)

    def __str__(self) -> str:
        return f"∄ {self.key}"


Sign = Has | Lacks


def _named(name: str, pattern: str) -> bool:
    return name == pattern or ("*" in pattern and fnmatchcase(name, pattern))


def _fits(shape: tuple[int, ...], wanted: tuple[Side, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        wants is None or (side in wants if isinstance(wants, tuple) else side == wants)
        for side, wants in zip(shape, wanted, strict=True)
    )
