"""Prompts and negative prompts of unequal length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from modules.engine.guidance import guided, plan_calls
from modules.engine.lengths import spoken_apart
from modules.engine.wording import Wording
from modules.families.family import Conditioning
from modules.prompts.composed import composed
from tests.engine.test_engine import Calls, digests, make
from tests.engine.test_guidance import X, always, encode
from tests.fake_models import engine_on

LONG, SHORT = "4" * 25, "12"  # three chunks and one, of ten letters


def words(*wordings: Wording, one_length: bool = False) -> list[list[list[float]]]:
    found = spoken_apart(wordings, encode, 7.0, one_length=one_length)
    return [found[each].context.flatten(1).tolist() for each in wordings]


def wording(prompt: str, negative: str) -> Wording:
    return Wording(composed(prompt), negative)


@pytest.mark.parametrize(("prompt", "negative"), [(LONG, SHORT), (SHORT, LONG), (LONG, LONG)])
def test_each_is_read_as_long_as_it_is(prompt: str, negative: str) -> None:
    seen: list[list[float]] = []

    def look(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
        seen.extend(conditioning.context.flatten(1).tolist())
        return torch.zeros_like(x) + conditioning.context[:, :1, :, None]

    said = wording(prompt, negative)
    rows = spoken_apart([said], encode, 3.0)[said]
    calls = plan_calls([said], [rows], together=True)
    answer = guided(look, always(calls), 3.0)(X, 1.0)
    wide = {LONG: [25.0] * 3, SHORT: [2.0]}
    assert sorted(seen) == sorted([wide[prompt], wide[negative]])
    assert answer.item() == len(negative) + 3 * (len(prompt) - len(negative))


def test_the_old_way_repeats_the_end_or_cuts_it_off() -> None:
    assert words(wording(LONG, SHORT), one_length=True) == [[[25, 25, 25], [2, 2, 2]]]
    assert words(wording(SHORT, LONG), one_length=True) == [[[2], [25]]]


def test_prompts_that_and_joins_repeat_their_end_and_those_of_other_steps_are_filled_up() -> None:
    assert words(wording(f"123 AND {LONG}", SHORT), one_length=True)[0][0] == [3, 3, 3]
    first, second = words(wording("123", SHORT), wording(LONG, SHORT), one_length=True)
    assert (first[0], second[0]) == ([3, 0, 0], [25, 25, 25])


def test_pictures_of_a_batch_share_calls_by_their_lengths() -> None:
    each = [wording(LONG, SHORT), wording(LONG, LONG)]
    rows = [spoken_apart([said], encode, 7.0)[said] for said in each]
    (call,) = plan_calls([Wording(said.prompts, "") for said in each], rows, together=True)
    assert call.lengths == (3, 1, 3, 3)
    assert "length" not in call.conditioning.extra


def test_the_engine_reads_them_so(root: Path) -> None:
    calls = Calls()
    engine = engine_on(root, calls)
    pictures = {}
    for padding in ("chunks", "off", "v0"):
        calls.rows = []
        said: dict[str, Any] = {"prompt": "a red circle " * 40, "negative_prompt": "blue", "pad_conds": padding}
        pictures[padding] = digests(make(engine, sampler="Euler", steps=2, **said))[0]
        assert calls.rows == ([1, 1] * 2 if padding == "off" else [2] * 2)
    assert len(set(pictures.values())) == 3
    short = [digests(make(engine, prompt="a", negative_prompt="b", pad_conds=each)) for each in ("chunks", "off", "v0")]
    assert short[0] == short[1] == short[2], "of equal length they are read alike"
