"""Tags with how sure each is, as words for a prompt: which of them, in which order, and how they are spelt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# Faces made of letters, which keep their underscores.
# fmt: off
FACES = frozenset((
    "0_0", "(o)_(o)", "+_+", "+_-", "._.", "<o>_<o>", "<|>_<|>", "=_=", ">_<", "3_3", "6_9", ">_o", "@_@", "^_^", "o_o",
    "u_u", "x_x", "|_|", "||_||",
))
# fmt: on
_SPECIAL = re.compile(r"([\\()])")  # what means something in a prompt


@dataclass(frozen=True)
class Manner:
    """How tags are told: those that are at least as sure as `least`, but for those in `without`.

    `sorted`: by the alphabet, otherwise the surest first; `spaces` instead of underscores; `escaped` brackets, so that
    a prompt takes them as they stand. The defaults are A1111's.
    """

    least: float = 0.5
    sorted: bool = True
    spaces: bool = True
    escaped: bool = True
    without: frozenset[str] = frozenset()


def listed(text: str) -> frozenset[str]:
    """Return the tags that are listed in `text` with commas between them, spelt with spaces or underscores."""
    return frozenset("_".join(each.split()) for each in text.lower().split(",")) - {""}


def worded(tags: Mapping[str, float], manner: Manner) -> str:
    """Return `tags` as a list with commas between them."""
    told = [tag for tag, sure in tags.items() if sure >= manner.least and tag.lower() not in manner.without]
    told.sort(key=(lambda tag: tag) if manner.sorted else lambda tag: (-tags[tag], tag))
    return ", ".join(_spelt(tag, manner) for tag in told)


def _spelt(tag: str, manner: Manner) -> str:
    if manner.spaces and tag not in FACES:
        tag = tag.replace("_", " ")
    return _SPECIAL.sub(r"\\\1", tag) if manner.escaped else tag
