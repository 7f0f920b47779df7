"""Words to what the network reads: text, weighted parts, chunks of tokens, the family's text encoder."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from modules.families.family import NOTHING_LEARNED, Conditioning, Model
from modules.model_manager.learned import Vocabulary
from modules.model_manager.loras import Wanted
from modules.model_manager.vectors import LearnedVectors
from modules.prompts.chunks import Chunk, chunks
from modules.prompts.cutting import USUAL, Cutting
from modules.prompts.syntax import Weighted

LENGTH = "length"  # in `Conditioning.extra`: how many tokens of a row are read, where that is not all
CACHED = 64  # texts; one of SD 1 takes 0.2 MB

Encode = Callable[[tuple[str, ...]], Conditioning]
K = TypeVar("K")
V = TypeVar("V")


class Encoder:
    """Encodes texts with one model and the learned words of `vocabulary`, and remembers the last answers.

    It belongs to a model as it is: whoever changes the model's weights makes a new one. `loras` are those that are
    applied while it is used.
    """

    def __init__(self, model: Model, vocabulary: Vocabulary | None = None, loras: tuple[Wanted, ...] = ()) -> None:
        self.model = model
        self.vocabulary = vocabulary
        self._loras = loras
        self._learned = LearnedVectors(vocabulary) if vocabulary else NOTHING_LEARNED
        self._chunks: OrderedDict[tuple[str, Cutting], list[Chunk]] = OrderedDict()
        self._answers: OrderedDict[tuple[str, int, int, bool, Cutting, bool], Conditioning] = OrderedDict()

    def suits(self, model: Model, vocabulary: Vocabulary, loras: tuple[Wanted, ...]) -> bool:
        """Return whether what it remembers is what `model` would say now."""
        return self.model is model and self.vocabulary is vocabulary and self._loras == loras

    def __call__(
        self, texts: tuple[str, ...], clip_skip: int = 1, cutting: Cutting = USUAL, first_alone: bool = False
    ) -> Conditioning:
        """Return one row for each text: the first is the prompt, those after it are negative prompts.

        Shorter ones are filled up with empty chunks, so that they fit in one call. With `first_alone` clip skip is for
        the first of several text encoders alone.
        """
        length = max(len(self._cut(text, cutting)) for text in texts)
        rows = (self._row(text, length, clip_skip, first_alone, cutting, place > 0) for place, text in enumerate(texts))
        return joined([*rows])

    def _row(
        self, text: str, length: int, clip_skip: int, first_alone: bool, cutting: Cutting, negative: bool
    ) -> Conditioning:
        key = (text, length, clip_skip, first_alone, cutting, negative)
        if key not in self._answers:
            cut = self._cut(text, cutting)
            empty = chunks([Weighted("")], self.model.tokenizer)
            filled = [*cut, *empty * (length - len(cut))]
            said = self.model.encode([filled], clip_skip, negative, self._learned, cutting.apply, first_alone)
            _keep(self._answers, key, said)
        self._answers.move_to_end(key)
        return self._answers[key]

    def _cut(self, text: str, cutting: Cutting) -> list[Chunk]:
        key = (text, cutting)
        if key not in self._chunks:
            words = self.vocabulary.words if self.vocabulary else None
            _keep(self._chunks, key, cutting.cut(text, self.model.tokenizer, words))
        return self._chunks[key]


def _keep(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    while len(kept) > CACHED:
        kept.popitem(last=False)


def joined(parts: Sequence[Conditioning]) -> Conditioning:
    """Return the rows of `parts` below each other; all must be equally long."""
    if len(parts) == 1:
        return parts[0]
    pooled = [part.pooled for part in parts if part.pooled is not None]
    return Conditioning(
        torch.cat([part.context for part in parts]),
        torch.cat(pooled) if pooled else None,
        {name: torch.cat([part.extra[name] for part in parts]) for name in parts[0].extra},
    )


def rows_of(conditioning: Conditioning, rows: slice) -> Conditioning:
    """Return some rows of a conditioning."""
    pooled = None if conditioning.pooled is None else conditioning.pooled[rows]
    extra = {name: each[rows] for name, each in conditioning.extra.items()}
    return Conditioning(conditioning.context[rows], pooled, extra)


def picked(conditioning: Conditioning, rows: Sequence[int]) -> Conditioning:
    """Return the rows of a conditioning at these places."""
    places = torch.tensor(rows, device=conditioning.context.device)
    pooled = None if conditioning.pooled is None else conditioning.pooled[places]
    extra = {name: each[places] for name, each in conditioning.extra.items()}
    return Conditioning(conditioning.context[places], pooled, extra)
