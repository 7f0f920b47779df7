r"""The attention part of the prompt language: text to parts with weights.

`(x)` is 1.1 times the attention, `[x]` 1 / 1.1 times, `(x:1.5)` 1.5 times; nesting multiplies. A bracket after a
backslash is a letter, and so is a closing bracket that nothing opened; what stays open applies to the end. `BREAK`, a
word of its own, ends a chunk of tokens. Nothing is an error: what is no syntax is text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType

FACTORS = MappingProxyType({"(": 1.1, "[": 1 / 1.1})

TOKEN = re.compile(
    r"""
      \\ (?P<escaped> [()\[\]\\] )
    | (?P<backslash> \\ )
    | (?P<open> [(\[] )
    | : \s* (?P<weight> [+-]? [.\d]+ ) \s* \)
    | (?P<close> [)\]] )
    | (?P<text> [^\\()\[\]:]+ | : )
    """,
    re.VERBOSE,
)
_BREAK = re.compile(r"\bBREAK\b")


@dataclass(frozen=True)
class Weighted:
    """A run of text under one weight; 1 is no emphasis."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True)
class Break:
    """The word BREAK: the chunk of tokens ends here."""


Part = Weighted | Break


@dataclass
class _Open:
    bracket: str
    factor: float  # what it turns out to be when the bracket is closed


@dataclass(frozen=True)
class _Close:
    bracket: str


def attention(prompt: str) -> list[Part]:
    """Return the parts of `prompt` in order: at least one, and neighbours of equal weight are one part.

    A weight that is no number ("1.1.1") is text. Takes time in proportion to the length, however deep it nests.
    """
    parts: list[Part] = []
    # The weights of the brackets around, outermost first. Round and square ones may overlap, so each kind has its own.
    around: dict[str, list[float]] = {bracket: [1.0] for bracket in FACTORS}
    for piece in _pieces(prompt):
        if isinstance(piece, _Open):
            around[piece.bracket].append(around[piece.bracket][-1] * piece.factor)
        elif isinstance(piece, _Close):
            around[piece.bracket].pop()
        else:
            parts.extend(_broken(piece, around["("][-1] * around["["][-1]))
    return list(_merged(parts)) or [Weighted("")]


def _pieces(prompt: str) -> list[str | _Open | _Close]:
    """Return text and matched brackets; every `_Open` has its factor, also when it is never closed."""
    pieces: list[str | _Open | _Close] = []
    waiting: dict[str, list[_Open]] = {bracket: [] for bracket in FACTORS}
    for match in TOKEN.finditer(prompt):
        whole, kind = match.group(), match.lastgroup
        if kind == "escaped":
            pieces.append(match["escaped"])
        elif kind == "open":
            opened = _Open(whole, FACTORS[whole])
            waiting[whole].append(opened)
            pieces.append(opened)
        elif kind == "weight" and waiting["("]:
            opened = waiting["("].pop()
            factor = number(match["weight"])
            if factor is None:
                pieces.append(whole[:-1])
            else:
                opened.factor = factor
            pieces.append(_Close("("))
        elif kind == "close" and waiting[bracket := "(" if whole == ")" else "["]:
            waiting[bracket].pop()
            pieces.append(_Close(bracket))
        elif kind != "backslash":  # a backslash before anything else is dropped
            pieces.append(whole)
    return pieces


def number(text: str) -> float | None:
    """Return the weight that `text` is; None for what is no finite number."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _broken(text: str, weight: float) -> Iterator[Part]:
    """Split `text` at BREAK; the spaces around the word belong to it."""
    runs = _BREAK.split(text)
    for i, run in enumerate(runs):
        if i > 0:
            yield Break()
            run = run.lstrip()
        yield Weighted(run.rstrip() if i < len(runs) - 1 else run, weight)


def _merged(parts: list[Part]) -> Iterator[Part]:
    for weight, run in groupby(parts, key=lambda part: part.weight if isinstance(part, Weighted) else None):
        if weight is None:
            yield from run
        else:
            yield Weighted("".join(part.text for part in run if isinstance(part, Weighted)), weight)
