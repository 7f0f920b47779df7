"""What is odd about a prompt, what it names and is not there included. No torch here: the page shows it."""

from __future__ import annotations

from collections.abc import Iterator

from modules.model_manager.catalog import Catalog
from modules.model_manager.counter import TokenCounter
from modules.prompts.comments import without_comments
from modules.prompts.composed import composed
from modules.prompts.oddities import Oddity, oddities
from modules.prompts.tags import KINDS, Tag, take_out


class Proofreader:
    """Reads prompts as the engine will, and says what may not be meant so. Several threads may ask it."""

    def __init__(self, catalog: Catalog, counter: TokenCounter) -> None:
        self._catalog = catalog
        self._counter = counter

    def oddities(self, prompt: str, checkpoint: str, negative: bool = False) -> list[Oddity]:
        """Return what is odd about `prompt`, each once, in order of place; what has none is at the end."""
        plain, tags = take_out(without_comments(prompt))
        found = [
            *oddities(prompt, negative),
            *(self._tags_in_negative(tags) if negative else self._tags(tags)),
            *self._learned_words(plain, checkpoint),
        ]
        return [each for place, each in enumerate(found) if each not in found[:place]]

    def _tags(self, tags: tuple[Tag, ...]) -> Iterator[Oddity]:
        for tag in tags:
            kind = KINDS.get(tag.kind)
            if kind is None:
                yield Oddity("tag_kind", values={"kind": tag.kind, "name": tag.name})
            elif self._catalog.get(tag.name, kind) is None:
                key = "lora_missing" if kind == "lora" else "hypernetwork_missing"
                yield Oddity(key, values={"name": tag.name})
            elif wrong := next((each for each in (*tag.positional, *tag.named.values()) if not _is_number(each)), ""):
                yield Oddity("tag_number", values={"kind": tag.kind, "name": tag.name, "value": wrong})

    def _tags_in_negative(self, tags: tuple[Tag, ...]) -> Iterator[Oddity]:
        for tag in tags[:1]:
            yield Oddity("tag_negative", values={"kind": tag.kind, "name": tag.name})

    def _learned_words(self, prompt: str, checkpoint: str) -> Iterator[Oddity]:
        words = self._counter.words(checkpoint)
        for part in composed(prompt):
            for name in words.within(part.text)[1]:
                yield Oddity("embedding_unused", values={"name": name})


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
