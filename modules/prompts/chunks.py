"""Weighted text to chunks of 75 tokens, as CLIP's text encoder reads them.

A chunk is a begin token, 75 tokens and an end token; a prompt may have any number of chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from modules.prompts.embeddings import LearnedWords
from modules.prompts.syntax import Break, Part, attention

SIZE = 75
BACKTRACK = 20  # tokens
BOS = 49406
EOS = 49407
COMMA = 267
PLACEHOLDER = 0  # the id where a learned word's vector stands

Tokenize = Callable[[str], Sequence[int]]
"""text -> token ids, without begin and end."""


@dataclass(frozen=True)
class Chunk:
    """What the text encoder reads at once: 77 ids, begin and end included, and 77 weights (1 outside the text).

    `learned` are vectors that stand for ids: (place within the 77, name of the embedding, which of its vectors).
    """

    ids: tuple[int, ...]
    weights: tuple[float, ...]
    learned: tuple[tuple[int, str, int], ...] = ()


def chunks(
    parts: Iterable[Part],
    tokenize: Tokenize,
    backtrack: int = BACKTRACK,
    pad: int = EOS,
    learned: LearnedWords | None = None,
) -> list[Chunk]:
    """Return the chunks of `parts`, at least one.

    A full chunk is cut at its last comma when that lies at most `backtrack` tokens back, so that a phrase stays whole
    (0: never). A chunk with fewer than 75 tokens is filled up with the end token, and after the first one with `pad`
    (SD 2 and the second encoder of SDXL: 0). A `learned` word takes a token for each of its vectors and is not divided
    between chunks; at weight 0 it is left out. (A1111 keeps it and silences its own places only, so that it still
    speaks through the tokens after it.)
    """
    filled = _fill(parts, tokenize, backtrack, learned)
    if len(filled) > 1 and not filled[-1]:
        del filled[-1]
    return [_chunk(tokens, pad) for tokens in filled]


def count(
    prompt: str, tokenize: Tokenize, backtrack: int = BACKTRACK, learned: LearnedWords | None = None
) -> tuple[int, int]:
    """Return how many tokens `prompt` takes and how many fit in its chunks: (3, 75).

    A chunk that was closed, by BREAK or because it was full, counts as 75.
    """
    filled = _fill(attention(prompt), tokenize, backtrack, learned)
    tokens = SIZE * (len(filled) - 1) + len(filled[-1])
    return tokens, -(-max(tokens, 1) // SIZE) * SIZE


def closed(
    prompt: str, tokenize: Tokenize, backtrack: int = BACKTRACK, learned: LearnedWords | None = None
) -> list[list[int | str]]:
    """Return what is in each chunk of `prompt` but the last, without begin and end; a learned word is its name."""
    *full, _ = _fill(attention(prompt), tokenize, backtrack, learned)
    return [[token.name or token.id for token in tokens if not token.row] for tokens in full]


@dataclass(frozen=True)
class _Token:
    id: int
    weight: float
    name: str = ""  # of the learned word it is a row of
    row: int = 0


class _Filler:
    """Deals tokens to chunks of at most 75; the last one, still open, may be empty."""

    def __init__(self, backtrack: int) -> None:
        self.done: list[list[_Token]] = []
        self.filling: list[_Token] = []
        self._backtrack = backtrack
        self._comma: int | None = None  # its place in the chunk being filled

    def close(self) -> None:
        """End the chunk."""
        self.done.append(self.filling)
        self.filling, self._comma = [], None

    def token(self, token: int, weight: float) -> None:
        """Add a token of the vocabulary."""
        self._make_room(token)
        if token == COMMA:
            self._comma = len(self.filling)
        self.filling.append(_Token(token, weight))

    def word(self, name: str, vectors: int, weight: float) -> None:
        """Add a learned word, whole."""
        self._make_room(PLACEHOLDER)
        if len(self.filling) + vectors > SIZE:
            self.close()
        self.filling += [_Token(PLACEHOLDER, weight, name, row) for row in range(vectors)]

    def _make_room(self, token: int) -> None:
        """Close a full chunk: after its last comma when that is near, so that what follows it stays together."""
        if len(self.filling) < SIZE:
            return
        cut = SIZE
        if token != COMMA and self._comma is not None and SIZE - self._comma <= self._backtrack:
            cut = self._comma + 1
        rest = self.filling[cut:]
        self.filling = self.filling[:cut]
        self.close()
        self.filling = rest


def _fill(
    parts: Iterable[Part], tokenize: Tokenize, backtrack: int, learned: LearnedWords | None
) -> list[list[_Token]]:
    filler = _Filler(backtrack)
    for part in parts:
        if isinstance(part, Break):
            filler.close()
            continue
        tokens = tokenize(part.text)
        place = 0
        while place < len(tokens):
            word = learned.at(tokens, place) if learned else None
            if word:
                if part.weight:
                    filler.word(word.name, word.vectors, part.weight)
                place += word.tokens
            else:
                filler.token(tokens[place], part.weight)
                place += 1
    return [*filler.done, filler.filling]


def _chunk(tokens: Sequence[_Token], pad: int) -> Chunk:
    missing = SIZE - len(tokens)
    ending = (EOS, *(pad for _ in range(missing)))
    return Chunk(
        ids=(BOS, *(token.id for token in tokens), *ending),
        weights=(1.0, *(token.weight for token in tokens), *(1.0 for _ in ending)),
        learned=tuple((place, token.name, token.row) for place, token in enumerate(tokens, 1) if token.name),
    )
