"""Learned words in a prompt: the names of textual inversions, found among the tokens.

A name is matched as its own tokens, so in lower case and wherever a tokenizer would begin a word; of several that begin
alike the longest wins. This is how AUTOMATIC1111's web UI reads them. No torch here: the page counts with it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from modules.prompts.emphasis import Read
from modules.prompts.syntax import Weighted, attention

LONGEST = 75  # vectors; more than that fit in no chunk


@dataclass(frozen=True)
class LearnedWord:
    """A textual inversion found in a prompt: it is written with `tokens` tokens and stands for `vectors` vectors."""

    name: str
    tokens: int
    vectors: int


class LearnedWords:
    """The names that may stand in a prompt.

    `vectors` says how many vectors a name stands for; it is asked only about names that a prompt holds, and answers 0
    for what cannot be used here: then a shorter name may match, or the text stays text. Names are taken in the given
    order: of two that are written with the same tokens the first wins. `spell` gives a name's tokens, where somebody
    remembers them.
    """

    def __init__(
        self,
        names: Iterable[str],
        tokenize: Callable[[str], Sequence[int]],
        vectors: Callable[[str], int],
        spell: Callable[[str], Sequence[int]] | None = None,
    ) -> None:
        self._tokenize = tokenize
        self._vectors = vectors
        self._by_first: dict[int, list[tuple[tuple[int, ...], str]]] = {}
        for name in names:
            tokens = tuple((spell or tokenize)(name))
            if tokens:
                self._by_first.setdefault(tokens[0], []).append((tokens, name))
        for alike in self._by_first.values():
            alike.sort(key=lambda each: -len(each[0]))

    def at(self, tokens: Sequence[int], position: int) -> LearnedWord | None:
        """Return the name that begins at `position` of `tokens`, if any."""
        return next((word for word in self._beginning(tokens, position) if word.vectors), None)

    def within(self, text: str, read: Read = attention) -> tuple[list[str], list[str]]:
        """Return the names that `text` holds, in order, and those that stand there but cannot be used; each once.

        A name at weight 0 is read by nobody, so it is neither; `read` says which weights there are.
        """
        found: dict[str, None] = {}
        refused: dict[str, None] = {}
        for part in read(text):
            tokens = self._tokenize(part.text) if isinstance(part, Weighted) and part.weight else ()
            place = 0
            while place < len(tokens):
                step = 1
                for word in self._beginning(tokens, place):
                    if word.vectors:
                        found[word.name] = None
                        step = word.tokens
                        break
                    refused[word.name] = None
                place += step
        return list(found), list(refused)

    def _beginning(self, tokens: Sequence[int], position: int) -> Iterator[LearnedWord]:
        """Yield the names written at `position`, the longest first; without vectors those that cannot be used."""
        for written, name in self._by_first.get(tokens[position], ()):
            if tuple(tokens[position : position + len(written)]) == written:
                vectors = self._vectors(name)
                yield LearnedWord(name, len(written), vectors if vectors <= LONGEST else 0)
