"""Every sentence a person reads, looked up by key in `locale/<language>/<room>.json`.

A key is `room.name`; the sentence may hold `{fields}`. English is complete; another language that lacks a key
falls back to English (a test holds the two complete).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LOCALE = Path(__file__).parent / "locale"
LANGUAGES = ("en", "ko")


@dataclass(frozen=True)
class Words:
    """The sentences of one language."""

    language: str
    sentences: Mapping[str, str]

    def say(self, key: str, **values: object) -> str:
        """Return the sentence for `key` with `values` filled in; the key itself when there is no such sentence."""
        sentence = self.sentences.get(key, key)
        return sentence.format_map(_Blanks(values))


class _Blanks(dict[str, object]):
    """Leaves a field that was not given visible instead of raising: a message must never fail to appear."""

    def __missing__(self, field: str) -> str:
        return "{" + field + "}"


def load_words(language: str = "en", folder: Path = LOCALE) -> Words:
    """Read every room of `language` (`en` or `ko`), over English where a sentence is missing."""
    sentences: dict[str, str] = {}
    for each in dict.fromkeys(("en", language)):
        for file in sorted((folder / each).glob("*.json")):
            for name, sentence in json.loads(file.read_text(encoding="utf-8")).items():
                sentences[f"{file.stem}.{name}"] = sentence
    return Words(language, sentences)


def preferred(accept_language: str) -> str:
    """Choose a language of `LANGUAGES` by an HTTP Accept-Language header (RFC 9110, 12.5.4); English otherwise."""
    ranked: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept_language.split(",")):
        tag, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            weight = 0.0
        ranked.append((-weight, place, tag.split("-")[0].lower()))
    return next((tag for _, _, tag in sorted(ranked) if tag in LANGUAGES), "en")
