from __future__ import annotations

import pytest
import torch
from torch import Tensor

from modules.controls.control import NEGATIVE
from modules.engine.guidance import ROWS, Call, CallsAt, beside, following, guided, plan_calls, spoken
from modules.engine.wording import Wording
from modules.families.family import Conditioning
from modules.prompts.composed import composed

X = torch.zeros(1, 1, 1, 1)


def encode(texts: tuple[str, ...]) -> Conditioning:
    """One number for each text, its length in "chunks" of ten letters, filled up to the longest with zeros."""
    length = max(1, *(-(-len(text) // 10) for text in texts))
    context = torch.zeros(len(texts), length, 1)
    for row, text in enumerate(texts):
        context[row, : max(1, -(-len(text) // 10))] = len(text)
    return Conditioning(context)


def said(*prompts: str) -> list[Wording]:
    return [Wording(composed(prompt), "no") for prompt in prompts]


def plan(said: list[Wording], scale: float, together: bool = True, negatives: int = 0) -> list[Call]:
    words = [spoken([each], encode, scale, negatives)[each] for each in said]
    return plan_calls(said, words, together)


def always(calls: list[Call]) -> CallsAt:
    return lambda sigma: calls


def predict(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
    """The words' number, so that the arithmetic can be read off; each row must come with its own words."""
    assert x.shape[0] == conditioning.context.shape[0]
    return torch.zeros_like(x) + conditioning.context[:, :1, :, None]


def test_guidance_is_without_plus_scale_times_the_difference() -> None:
    calls = plan(said("12345", "1234567"), 3.0)
    answer = guided(predict, always(calls), 3.0)(torch.zeros(2, 1, 1, 1), 1.0)
    assert answer.flatten().tolist() == [2 + 3.0 * (5 - 2), 2 + 3.0 * (7 - 2)]


def test_guidance_1_is_the_prompts_own_answer() -> None:
    calls = plan(said("12345"), 1.0)
    assert calls[0].rows == calls[0].conditioning.context.shape[0] == 1
    assert guided(predict, always(calls), 1.0)(X, 1.0).item() == 5


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_prompts_joined_by_and_pull_each_with_its_weight(scale: float) -> None:
    calls = plan(said("12345 AND 234567:0.5 AND 3:-1"), scale)
    assert [(call.rows, call.weights) for call in calls] == [(4, (1.0, 0.5, -1.0))]
    assert calls[0].conditioning.extra[NEGATIVE].flatten().tolist() == [0, 0, 0, 1]
    answer = guided(predict, always(calls), scale)(X, 1.0).item()
    assert answer == 2 + scale * ((5 - 2) + 0.5 * (7 - 2) - (2 - 2)), "5, 7 (with its space) and 2 letters"


def test_many_prompts_are_not_asked_for_at_once() -> None:
    asked: list[int] = []

    def count(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
        asked.append(len(x))
        return predict(x, sigma, conditioning)

    calls = plan(said(" AND ".join("1" * n for n in range(1, 20))), 1.0)
    assert guided(count, always(calls), 1.0)(X, 1.0).item() == 2 + (1 - 2) + sum(n + 1 - 2 for n in range(2, 20))
    assert asked == [ROWS, ROWS, 4]


def test_a_single_prompt_may_have_a_weight() -> None:
    (call,) = plan(said("12345:2"), 1.0)
    assert (call.rows, guided(predict, always([call]), 1.0)(X, 1.0).item()) == (2, 2 + 2 * (5 - 2))


def test_prompts_of_one_picture_are_filled_up_to_the_longest_with_nothing() -> None:
    (call,) = plan(said("123 AND " + "4" * 24), 7.0, together=False)
    assert call.conditioning.context.flatten(1).tolist() == [[3, 0, 0], [25, 25, 25], [2, 0, 0]]


def test_texts_of_all_steps_are_filled_up_to_the_longest() -> None:
    short, long = said("123", "4" * 25)
    words = spoken([short, long, short], encode, 7.0)
    assert words[short].context.flatten(1).tolist() == [[3, 0, 0], [2, 0, 0]]
    assert words[long].context.flatten(1).tolist() == [[25, 25, 25], [2, 0, 0]]
    without = spoken([short, long], encode, 1.0)
    assert without[short].context.flatten(1).tolist() == [[3, 0, 0]]


def test_a_picture_that_is_followed_counts_by_itself() -> None:
    def look(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
        return predict(x, sigma, conditioning) + conditioning.extra["beside"]

    plans = plan(said("12345 AND 34"), 3.0, negatives=2)
    (call,) = beside(plans, torch.full((1, 1, 1, 1), 10.0))
    assert call.rows == 4
    answer = guided(look, always([call]), 3.0, image_scale=1.5)(X, 1.0).item()
    assert answer == 2 + 3 * ((5 - 2) + (3 - 2)) + 1.5 * 10


def test_pictures_share_a_call_when_their_words_are_equally_long_and_weigh_the_same() -> None:
    batch = said("a", "b" * 15, "c", "d" * 15, "a AND b")
    together = plan(batch, 7.0)
    assert [call.pictures for call in together] == [[0, 2], [1, 3], [4]]
    assert [tuple(call.conditioning.context.shape) for call in together] == [(4, 1, 1), (4, 2, 1), (3, 1, 1)]
    apart = plan(batch, 7.0, together=False)
    assert [call.pictures for call in apart] == [[0], [1], [2], [3], [4]]
    x = torch.zeros(5, 1, 1, 1)
    assert torch.equal(guided(predict, always(together), 7.0)(x, 1.0), guided(predict, always(apart), 7.0)(x, 1.0))


def test_each_row_is_the_picture_its_words_are_for() -> None:
    seen: list[list[float]] = []

    def look(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
        seen.append(x.flatten().tolist())
        return x

    call = Call([0, 1], Conditioning(torch.zeros(4, 1, 1)), 2)
    guided(look, always([call]), 2.0)(torch.tensor([3.0, 4.0]).reshape(2, 1, 1, 1), 1.0)
    assert seen == [[3, 3, 4, 4]]


def test_each_step_has_its_own_calls_however_often_a_sampler_calls() -> None:
    plans = [plan(said("1" * n), 1.0) for n in (1, 2, 3)]
    step = guided(predict, following(plans, [4.0, 2.0, 1.0, 0.0]), 1.0)
    levels = [5.0, 4.0, 3.9, 2 * (1 + 1e-9), 2 * (1 - 1e-9), 1.5, 1.0, 0.1]
    assert [step(X, sigma).item() for sigma in levels] == [1, 1, 1, 2, 2, 2, 3, 3]
