from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from modules.engine.conditioning import CACHED, Encoder, joined
from modules.families.family import NOTHING_LEARNED, Conditioning, Learned
from modules.prompts.chunks import Chunk
from modules.prompts.cutting import Cutting
from modules.prompts.emphasis import EMPHASES, Apply, emphasise, multiply
from modules.prompts.vocabulary import ClipTokenizer


class Model:
    """Says the number of each token, and counts how often it is asked."""

    def __init__(self) -> None:
        self.tokenizer = ClipTokenizer()
        self.asked = 0
        self.told: list[tuple[int, bool]] = []
        self.applied: Apply = emphasise

    def encode(
        self,
        prompts: Sequence[Sequence[Chunk]],
        clip_skip: int = 1,
        negative: bool = False,
        learned: Learned = NOTHING_LEARNED,
        apply: Apply = emphasise,
        first_alone: bool = False,
    ) -> Conditioning:
        self.asked += 1
        self.applied = apply
        self.told.append((clip_skip, negative))
        rows = [[token for chunk in prompt for token in chunk.ids] for prompt in prompts]
        return Conditioning(torch.tensor(rows, dtype=torch.float32)[..., None])


def encoder() -> tuple[Any, Encoder]:
    model: Any = Model()
    return model, Encoder(model)


def test_a_text_is_encoded_once() -> None:
    model, encode = encoder()
    first = encode(("a red circle", ""))
    asked = model.asked
    assert torch.equal(encode(("a red circle", "")).context, first.context)
    assert model.asked == asked == 2


def test_the_model_is_told_the_clip_skip_and_which_text_is_the_negative_one() -> None:
    model, encode = encoder()
    encode(("a red circle", "a red circle"), clip_skip=2)
    assert model.told == [(2, False), (2, True)]
    encode(("a red circle", "a red circle"))
    assert model.told[2:] == [(1, False), (1, True)], "another clip skip is another answer"


def test_the_shorter_text_is_filled_up_with_empty_chunks() -> None:
    _, encode = encoder()
    long, short = encode(("circle " * 100, "blue")).context
    assert len(long) == len(short) == 2 * 77
    alone, empty = encode(("blue", "")).context
    assert torch.equal(short, torch.cat([alone, empty]))


def test_emphasis_is_read_and_applied_as_asked() -> None:
    model, encode = encoder()
    original = encode(("a (red:1.5) circle",)).context
    assert model.applied is emphasise
    plain = encode(("a (red:1.5) circle",), cutting=Cutting(EMPHASES["Ignore"])).context
    assert torch.equal(plain, original), "brackets are no words"
    literal = encode(("a (red:1.5) circle",), cutting=Cutting(EMPHASES["None"])).context
    assert not torch.equal(literal, original), "brackets are words"
    encode(("a (red:1.5) circle",), cutting=Cutting(EMPHASES["No norm"]))
    assert model.applied is multiply and model.asked == 4, "each is an answer of its own"


def test_memory_of_texts_is_bounded() -> None:
    model, encode = encoder()
    for number in range(CACHED + 1):
        encode((f"circle {number}",))
    asked = model.asked
    encode((f"circle {CACHED}",))
    assert model.asked == asked
    encode(("circle 0",))
    assert model.asked == asked + 1


def test_pooled_vectors_travel_along() -> None:
    part = Conditioning(torch.zeros(1, 77, 4), torch.ones(1, 8))
    both = joined([part, part])
    assert both.context.shape == (2, 77, 4)
    assert both.pooled is not None
    assert both.pooled.shape == (2, 8)
    assert joined([part]) is part
