"""Weighted text to chunks of 75 tokens, as CLIP's text encoder reads them.

A chunk is a begin token, 75 tokens and an end token; a prompt may have any number of chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from modules.prompts.syntax import Break, Part, attention

SIZE = 75
BOS = 49406
EOS = 49407
COMMA = 267

Tokenize = Callable[[str], Sequence[int]]
"""text -> token ids, without begin and end."""


@dataclass(frozen=True)
class Chunk:
    """What the text encoder reads at once: 77 ids, begin and end included, and 77 weights (1 outside the text)."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]


def chunks(parts: Iterable[Part], tokenize: Tokenize, backtrack: int = 20, pad: int = EOS) -> list[Chunk]:
    """Return the chunks of `parts`, at least one.

    A full chunk is cut at its last comma when that lies at most `backtrack` tokens back, so that a phrase stays whole
    (0: never). A chunk with fewer than 75 tokens is filled up with the end token, and after the first one with `pad`
    (SD 2 and the second encoder of SDXL: 0).
    """
    filled = _fill(parts, tokenize, backtrack)
    if len(filled) > 1 and not filled[-1]:
        del filled[-1]
    return [_chunk(tokens, pad) for tokens in filled]


def count(prompt: str, tokenize: Tokenize, backtrack: int = 20) -> tuple[int, int]:
    """Return how many tokens `prompt` takes and how many fit in its chunks: (3, 75).

    A chunk that was closed, by BREAK or because it was full, counts as 75.
    """
    filled = _fill(attention(prompt), tokenize, backtrack)
    tokens = SIZE * (len(filled) - 1) + len(filled[-1])
    return tokens, -(-max(tokens, 1) // SIZE) * SIZE


Tokens = list[tuple[int, float]]  # (id, weight)


def _fill(parts: Iterable[Part], tokenize: Tokenize, backtrack: int) -> list[Tokens]:
    """Deal the tokens of `parts` to lists of at most 75; the last one, still open, may be empty."""
    done: list[Tokens] = []
    filling: Tokens = []
    comma: int | None = None  # its place in the chunk being filled
    for part in parts:
        if isinstance(part, Break):
            done.append(filling)
            filling, comma = [], None
            continue
        for token in tokenize(part.text):
            if len(filling) == SIZE:
                cut = SIZE
                if token != COMMA and comma is not None and SIZE - comma <= backtrack:
                    cut = comma + 1
                done.append(filling[:cut])
                filling, comma = filling[cut:], None
            if token == COMMA:
                comma = len(filling)
            filling.append((token, part.weight))
    return [*done, filling]


def _chunk(tokens: Tokens, pad: int) -> Chunk:
    missing = SIZE - len(tokens)
    ending = (EOS, *(pad for _ in range(missing)))
    return Chunk(
        ids=(BOS, *(token for token, _ in tokens), *ending),
        weights=(1.0, *(weight for _, weight in tokens), *(1.0 for _ in ending)),
    )
