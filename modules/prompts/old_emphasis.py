"""Emphasis as A1111 read it until the end of 2022: brackets are found among the tokens, not in the text.

A token of brackets is no word but a factor for all that follows: 1.1 for each "(" and "]", 1 / 1.1 for each ")" and
"[". So "(a" raises the rest of the prompt, and "(a:1.5)" weighs the words "a:1.5" by 1.1; there is no BREAK and no
backslash. What does not fit into one chunk is not read.
"""

from __future__ import annotations

from collections.abc import Iterator

from modules.prompts.chunks import BOS, EOS, PLACEHOLDER, SIZE, Chunk
from modules.prompts.embeddings import LearnedWords
from modules.prompts.vocabulary import ClipTokenizer


def old_chunk(prompt: str, tokenizer: ClipTokenizer, learned: LearnedWords | None = None) -> Chunk:
    """Return the one chunk of `prompt`: the first 75 tokens that are words, each with its weight."""
    ids: list[int] = []
    weights: list[float] = []
    vectors: list[tuple[int, str, int]] = []
    for token, weight, name, row in _read(prompt, tokenizer, learned):
        ids.append(token)
        weights.append(weight)
        if name:
            vectors.append((len(ids), name, row))
    del ids[SIZE:], weights[SIZE:]
    ending = SIZE - len(ids) + 1
    return Chunk(
        ids=(BOS, *ids, *(EOS for _ in range(ending))),
        weights=(1.0, *weights, *(1.0 for _ in range(ending))),
        learned=tuple(each for each in vectors if each[0] <= SIZE),
    )


def old_count(prompt: str, tokenizer: ClipTokenizer, learned: LearnedWords | None = None) -> int:
    """Return how many tokens of `prompt` are words; only the first 75 are read."""
    return sum(1 for _ in _read(prompt, tokenizer, learned))


def _read(prompt: str, tokenizer: ClipTokenizer, learned: LearnedWords | None) -> Iterator[tuple[int, float, str, int]]:
    """Yield each token that is a word: id, weight, and the learned word that it is a row of, if any."""
    tokens = tokenizer(prompt)
    weight, place = 1.0, 0
    while place < len(tokens):
        factor = _factor(tokenizer.word(tokens[place]))
        word = learned.at(tokens, place) if learned and factor == 1 else None
        if factor != 1:
            weight *= factor
        elif word is None:
            yield tokens[place], weight, "", 0
        else:
            yield from ((PLACEHOLDER, weight, word.name, row) for row in range(word.vectors))
        place += 1 if word is None else word.tokens


def _factor(word: str) -> float:
    """Return the factor that a token is; 1 for a word, and for brackets that cancel out, which are words."""
    factor = 1.0
    for letter in word:
        if letter in "(]":
            factor *= 1.1
        elif letter in ")[":
            factor /= 1.1
    return factor
