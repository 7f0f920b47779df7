"""Scenes to words, and words back to what they ask for."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Final

from modules.starter.scenes import COLOURS, KINDS, RELATIONS, SIZES, Scene, Thing

_STYLE_WORDS: Final = (("outline", "outline"), ("sketch", "sketch"), ("night", "night"))


@dataclass(frozen=True)
class Wish:
    """What a prompt asks for; `None` where it says nothing.

    `things` holds (kind, colour, size) in the order they *stand* (left to right, or top to bottom), so that "a above b"
    and "b below a" are one wish; `arrangement` is "alone", "across" or "down".
    """

    things: tuple[tuple[str | None, str | None, str], ...]
    arrangement: str
    background: str | None
    style: str


def with_article(words: str) -> str:
    """Puts the article in front: "a red circle", "an orange star"."""
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def named(thing: Thing) -> str:
    """A thing in words, without its article: size (unless medium), colour, kind."""
    size = "" if thing.size == "medium" else f"{thing.size} "
    return f"{size}{thing.colour} {thing.kind}"


def standard(scene: Scene) -> str:
    """The standard form: "a red circle on a blue background"."""
    text = f" {scene.relation} ".join(with_article(named(thing)) for thing in scene.things)
    tail = {"flat": "", "outline": ", outline", "sketch": ", sketch", "night": " at night"}[scene.style]
    return f"{text} on {with_article(scene.background)} background{tail}"


def varied(scene: Scene, rng: random.Random) -> str:
    """A caption of the scene: half of the time the standard form, else one of many ways to say it, or to say less."""
    if rng.random() < 0.5:
        return standard(scene)
    things = [named(thing) for thing in scene.things]
    if rng.random() < 0.08:
        things = [thing.replace(f"{each.colour} ", "") for thing, each in zip(things, scene.things, strict=True)]
    article = rng.random() < 0.7
    if article:
        things = [with_article(thing) for thing in things]
    relation = scene.relation or ""
    if relation == "next to" and rng.random() < 0.4:
        relation = rng.choice(("and", "beside"))
    elif relation == "to the left of" and rng.random() < 0.3:
        relation = "left of"
    elif relation == "to the right of" and rng.random() < 0.3:
        relation = "right of"
    text = f" {relation} ".join(things)
    background = f"{scene.background} background"
    stage = with_article(background) if article else background
    text = rng.choices(
        (f"{text} on {stage}", f"{text}, {background}", f"{background}, {text}", f"on {stage}, {text}", text),
        (40, 22, 12, 10, 16),
    )[0]
    if scene.style == "flat":
        opening = rng.choices(("", "a picture of ", "a drawing of ", "an image of "), (64, 14, 11, 11))[0]
        return f"{opening}{text}{', flat' if rng.random() < 0.08 else ''}"
    opening, closing = {
        "outline": (rng.choice(("an outline of ", "an outline drawing of ")), ", outline"),
        "sketch": (rng.choice(("a sketch of ", "a pencil sketch of ")), ", sketch"),
        "night": ("at night, ", rng.choice((" at night", ", night", ", at night"))),
    }[scene.style]
    return f"{opening}{text}" if rng.random() < 0.4 else f"{text}{closing}"


def understood(text: str) -> Wish:
    """What a caption asks for: the inverse of `standard` and `varied`."""
    text = text.lower()
    colours, kinds = "|".join(COLOURS), "|".join(KINDS)
    stage = re.search(rf"\b({colours}) background", text)
    if stage:
        text = text[: stage.start()] + ";" + text[stage.end() :]
    style = next((style for word, style in _STYLE_WORDS if re.search(rf"\b{word}\b", text)), "flat")
    phrases = (*RELATIONS, "left of", "right of", "beside", "and")
    link = re.search(rf"\b({'|'.join(phrases)})\b", text)
    halves = [text[: link.start()], text[link.end() :]] if link else [text]
    things = []
    for half in halves:
        kind, colour, size = (re.search(rf"\b({words})\b", half) for words in (kinds, colours, "|".join(SIZES)))
        things.append((kind and kind[1], colour and colour[1], size[1] if size else "medium"))
    if link and link[1] in ("below", "to the right of", "right of"):
        things.reverse()
    arrangement = "alone" if not link else "down" if link[1] in ("above", "below") else "across"
    return Wish(tuple(things), arrangement, stage and stage[1], style)
