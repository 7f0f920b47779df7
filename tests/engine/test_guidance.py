from __future__ import annotations

import torch
from torch import Tensor

from modules.engine.guidance import Call, guided, plan_calls
from modules.families.family import Conditioning
from modules.request import Shot


def encode(texts: tuple[str, ...]) -> Conditioning:
    """One number for each text, its length in "chunks" of ten letters, filled up to the longest."""
    length = max(1, *(-(-len(text) // 10) for text in texts))
    return Conditioning(torch.tensor([float(len(text)) for text in texts])[:, None, None].expand(-1, length, 1))


def shots(*prompts: str) -> list[Shot]:
    return [Shot(index=i, prompt=prompt, negative_prompt="no", seed=i) for i, prompt in enumerate(prompts)]


def predict(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
    """The words' number, so that the arithmetic can be read off; each row must come with its own words."""
    assert x.shape[0] == conditioning.context.shape[0]
    return torch.zeros_like(x) + conditioning.context[:, :1, :, None]


def test_guidance_is_without_plus_scale_times_the_difference() -> None:
    calls = plan_calls(shots("12345", "1234567"), encode, 3.0, together=True)
    answer = guided(predict, calls, 3.0)(torch.zeros(2, 1, 1, 1), 1.0)
    assert answer.flatten().tolist() == [2 + 3.0 * (5 - 2), 2 + 3.0 * (7 - 2)]


def test_guidance_1_is_the_prompts_own_answer() -> None:
    calls = plan_calls(shots("12345"), encode, 1.0, together=True)
    assert calls[0].rows == calls[0].conditioning.context.shape[0] == 1
    assert guided(predict, calls, 1.0)(torch.zeros(1, 1, 1, 1), 1.0).item() == 5


def test_pictures_share_a_call_when_their_words_are_equally_long() -> None:
    batch = shots("a", "b" * 15, "c", "d" * 15)
    together = plan_calls(batch, encode, 7.0, together=True)
    assert [call.pictures for call in together] == [[0, 2], [1, 3]]
    assert [tuple(call.conditioning.context.shape) for call in together] == [(4, 1, 1), (4, 2, 1)]
    apart = plan_calls(batch, encode, 7.0, together=False)
    assert [call.pictures for call in apart] == [[0], [1], [2], [3]]
    x = torch.zeros(4, 1, 1, 1)
    assert torch.equal(guided(predict, together, 7.0)(x, 1.0), guided(predict, apart, 7.0)(x, 1.0))


def test_each_row_is_the_picture_its_words_are_for() -> None:
    seen: list[list[float]] = []

    def look(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
        seen.append(x.flatten().tolist())
        return x

    call = Call([0, 1], Conditioning(torch.zeros(4, 1, 1)), 2)
    guided(look, [call], 2.0)(torch.tensor([3.0, 4.0]).reshape(2, 1, 1, 1), 1.0)
    assert seen == [[3, 3, 4, 4]]
