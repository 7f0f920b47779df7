"""What in a prompt is probably not meant as it will be read. Nothing of it is an error: it is read all the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from modules.prompts.comments import blank_comments
from modules.prompts.composed import composed
from modules.prompts.editing import NUMBER
from modules.prompts.syntax import TOKEN, number
from modules.prompts.tags import blank_out

NEAR = 24  # characters of a prompt that show where something is
LOOKED_AT = 16  # characters before a bracket that may be a weight

_SQUARE = re.compile(r"\[[^\\\[\]()]*\]")
_LIKE_A_NUMBER = re.compile(r"[-+.,\s]*[0-9][-+.,0-9eE%\s]*")
_AND = re.compile(r"\bAND\b")


@dataclass(frozen=True)
class Oddity:
    """One thing that is odd: `key` names it, `place` is the character where it begins (from 1; 0: nowhere)."""

    key: str
    place: int = 0
    values: Mapping[str, str] = field(default_factory=dict)


def oddities(prompt: str, negative: bool = False) -> list[Oddity]:
    """Return what is odd about `prompt` in the order of its characters. Takes time in proportion to its length."""
    prompt = blank_out(blank_comments(prompt)).rstrip()
    found = [*_brackets(prompt), *_editing(prompt), *(_in_negative(prompt) if negative else _as_a_whole(prompt))]
    return sorted(found, key=lambda each: each.place)


def _brackets(prompt: str) -> Iterator[Oddity]:
    """Yield brackets that have no partner, and weights that are no numbers."""
    waiting: dict[str, list[int]] = {"(": [], "[": []}
    for match in TOKEN.finditer(prompt):
        kind, place = match.lastgroup, match.start()
        if kind == "open":
            waiting[match.group()].append(place)
        elif kind in ("close", "weight"):
            end = match.end() - 1
            around = waiting["(" if prompt[end] == ")" else "["]
            if not around:
                yield _at("closed", prompt, end, bracket=prompt[end])
                continue
            opened = around.pop()
            if prompt[end] == ")" and (weight := _wrong_weight(prompt[max(opened, end - LOOKED_AT) : end])):
                yield _at("weight", prompt, opened, value=weight)
    for bracket, places in waiting.items():
        for place in places:
            yield _at("open", prompt, place, bracket=bracket)


def _wrong_weight(inside: str) -> str:
    """Return what stands for a weight at the end of what is in round brackets and is none; else nothing."""
    _, colon, last = inside.rpartition(":")
    weight = last.strip()
    if not colon or not _LIKE_A_NUMBER.fullmatch(weight):
        return ""
    return "" if re.fullmatch(r"[+-]?[.\d]+", weight) and number(weight) is not None else weight


def _editing(prompt: str) -> Iterator[Oddity]:
    """Yield square brackets that look like editing and are none."""
    for match in _SQUARE.finditer(prompt):
        *said, last = match.group()[1:-1].split(":")
        if "|" in match.group():
            if said:
                yield _at("mixed", prompt, match.start())
        elif len(said) > 2:
            yield _at("colons", prompt, match.start())
        elif said and not NUMBER.fullmatch(last) and (len(said) == 2 or _LIKE_A_NUMBER.fullmatch(last)):
            yield _at("when", prompt, match.start(), value=last.strip()[:NEAR])


def _as_a_whole(prompt: str) -> Iterator[Oddity]:
    """Yield a weight that a prompt has from its last words: "aspect 16:9" is "aspect 16" at nine times the guidance."""
    (first, *more) = composed(prompt)
    if not more and first.weight != 1:
        yield Oddity("whole", len(first.text) + 1, {"value": f"{first.weight:g}"})


def _in_negative(prompt: str) -> Iterator[Oddity]:
    match = _AND.search(prompt)
    if match:
        yield Oddity("and_negative", match.start() + 1)


def _at(key: str, prompt: str, place: int, **values: str) -> Oddity:
    near = " ".join(prompt[place : place + NEAR].split())
    return Oddity(key, place + 1, {"near": near + ("…" if place + NEAR < len(prompt) else ""), **values})
