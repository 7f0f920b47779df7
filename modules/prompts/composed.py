"""Several prompts for one picture: `a AND b:0.5`, each with its weight (Liu et al. 2022).

The grammar is that of AUTOMATIC1111's web UI. A prompt without AND is one part; it may end in a weight, too.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_AND = re.compile(r"\bAND\b")
_WEIGHT = re.compile(r"\s*([-+]?(?:\d+\.?|\d*\.\d+))\s*")


@dataclass(frozen=True)
class Composed:
    """One of the prompts, and how much of the guidance is towards it; negative: away from it."""

    text: str
    weight: float = 1.0


def composed(prompt: str) -> tuple[Composed, ...]:
    """Return the parts of `prompt`, at least one; what looks like no finite weight is text."""
    return tuple(_weighted(part) for part in _AND.split(prompt))


def _weighted(part: str) -> Composed:
    text, colon, number = part.rpartition(":")
    weight = _WEIGHT.fullmatch(number) if colon else None
    if weight is None or not math.isfinite(float(weight[1])):
        return Composed(part.rstrip())
    return Composed(text.rstrip(), float(weight[1]))
