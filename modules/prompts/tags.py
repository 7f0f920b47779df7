"""Tags in a prompt: `<lora:name:0.8>` names a network that is wanted, and is no words.

The grammar is that of AUTOMATIC1111's web UI: arguments stand between colons; one with a single "=" goes by its name,
the others by their place. Nothing is an error here: what is no tag is text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

ALIASES = MappingProxyType({"lyco": "lora"})
KINDS = MappingProxyType({"lora": "lora", "hypernet": "hypernetwork"})  # tag -> the catalog's kind

_TAG = re.compile(r"<(\w+):([^>]+)>")


@dataclass(frozen=True)
class Tag:
    """One tag: its kind ("lora", "hypernet" or anything), the name, and the arguments after the name."""

    kind: str
    name: str
    positional: tuple[str, ...] = ()
    named: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def number(self, place: int, name: str, default: float) -> float:
        """Return the argument called `name`, else the one at `place`, else `default`.

        Raises `ValueError` for one that is no finite number.
        """
        text = self.named.get(name, self.positional[place] if place < len(self.positional) else None)
        if text is None:
            return default
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(f"{text} is not finite")
        return value


def take_out(prompt: str) -> tuple[str, tuple[Tag, ...]]:
    """Return `prompt` without its tags, and the tags in order. Tags of unknown kinds are taken out like all others."""
    tags: list[Tag] = []

    def note(match: re.Match[str]) -> str:
        tags.append(_tag(match[1], match[2]))
        return ""

    return _TAG.sub(note, prompt), tuple(tags)


def blank_out(prompt: str) -> str:
    """Return `prompt` with spaces where its tags are, so that everything else keeps its place."""
    return _TAG.sub(lambda match: " " * len(match[0]), prompt)


def _tag(kind: str, arguments: str) -> Tag:
    positional: list[str] = []
    named: dict[str, str] = {}
    for item in arguments.split(":"):
        name, is_named, value = item.partition("=")
        if is_named and "=" not in value:
            named[name] = value
        else:
            positional.append(item)
    first, *rest = positional or [""]
    return Tag(ALIASES.get(kind, kind), first, tuple(rest), MappingProxyType(named))
