"""Emphasis: weights multiply, and each chunk keeps its mean."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from modules.prompts.emphasis import EMPHASES, emphasise, multiply
from modules.prompts.syntax import Break, Weighted
from modules.request import Request


def encoded(chunks: int = 2) -> Tensor:
    return torch.randn(chunks, 77, 16, generator=torch.Generator().manual_seed(0)) + 0.1


def weights(*pairs: tuple[int, float]) -> list[float]:
    row = [1.0] * 77
    for place, weight in pairs:
        row[place] = weight
    return row


def test_a_weight_multiplies_and_the_mean_is_restored() -> None:
    z = encoded(1)
    row = weights((3, 1.5), (4, 0.5))
    multiplied = z * torch.tensor(row).reshape(1, 77, 1)
    expected = multiplied * (z.mean() / multiplied.mean())
    out = emphasise(z, [row])
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(out.mean(), z.mean())


def test_without_emphasis_nothing_changes_bit_for_bit() -> None:
    z = encoded().half()
    assert torch.equal(emphasise(z, [weights(), weights()]), z)
    mixed = emphasise(z, [weights((2, 1.3)), weights()])
    assert torch.equal(mixed[1], z[1]) and not torch.equal(mixed[0], z[0])


def test_a_chunk_does_not_depend_on_its_neighbours() -> None:
    z = encoded()
    rows = [weights((2, 1.3)), weights((5, 0.0))]
    together = emphasise(z, rows)
    assert torch.equal(together, torch.cat([emphasise(z[:1], rows[:1]), emphasise(z[1:], rows[1:])]))


def test_dtype_and_input_are_kept() -> None:
    z = encoded().bfloat16()
    kept = z.clone()
    assert emphasise(z, [weights((2, 1.3))] * 2).dtype == torch.bfloat16
    assert torch.equal(z, kept)


def test_without_norm_a_weight_multiplies_and_nothing_else() -> None:
    z = encoded(1)
    row = weights((3, 1.5), (4, 0.0))
    assert torch.equal(multiply(z, [row]), z * torch.tensor(row).reshape(1, 77, 1))
    assert multiply(z, [weights()]) is z and multiply(z.half(), [row]).dtype == torch.half


@pytest.mark.parametrize(
    ("name", "parts"),
    {
        "Original": [Weighted("a ", 1.0), Weighted("b", 1.2), Break(), Weighted("c", 1.0)],
        "No norm": [Weighted("a ", 1.0), Weighted("b", 1.2), Break(), Weighted("c", 1.0)],
        "Ignore": [Weighted("a "), Weighted("b"), Break(), Weighted("c")],
        "None": [Weighted("a (b:1.2) BREAK c")],
    }.items(),
)
def test_each_mode_reads_a_prompt_its_way(name: str, parts: list[Weighted | Break]) -> None:
    read = [part for part in EMPHASES[name].read("a (b:1.2) BREAK c") if part != Weighted("", 1.0)]
    assert read == parts


def test_a_request_may_ask_for_every_mode_there_is() -> None:
    assert set(get_args(Request.model_fields["emphasis"].annotation)) == set(EMPHASES)
