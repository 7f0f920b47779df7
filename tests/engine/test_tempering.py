"""What tempers guidance: the calls that are saved, and the contrast that is brought back."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from modules.engine.guidance import Call, beside, guided
from modules.engine.tempering import rescaling, sparing
from modules.families.family import Conditioning
from modules.request import Guidance
from modules.sampling.prediction import Eps, Flow, V
from tests.engine.test_engine import Calls, make
from tests.engine.test_guidance import X, always, plan, predict, said
from tests.fake_models import engine_on


def rows(asked: Guidance, sigmas: list[float], calls: list[Call] | None = None) -> list[int]:
    """Return how many rows the network computes at each of a sampler's calls."""
    counted: list[int] = []

    def count(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
        counted.append(len(x))
        return predict(x, sigma, conditioning)

    step = guided(count, sparing(always(calls or plan(said("12345"), 7.0)), asked, len(sigmas), itertools.count()), 7.0)
    for sigma in sigmas:
        step(X, sigma)
    return counted


def test_the_first_steps_go_without_a_negative_prompt_the_share_itself_included() -> None:
    falling = [float(10 - place) for place in range(10)]
    assert rows(Guidance(skip_early=0.2), falling) == [1] * 3 + [2] * 7
    assert rows(Guidance(skip_early=0.01), falling) == [1] + [2] * 9
    assert rows(Guidance(skip_early=1), falling) == [1] * 10


def test_below_a_level_every_other_step_goes_without_it_or_every_one() -> None:
    falling = [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
    assert rows(Guidance(s_min_uncond=5.5), falling) == [2, 2, 2, 1, 2, 1, 2, 1]
    assert rows(Guidance(s_min_uncond=5.5, s_min_uncond_all=True), falling) == [2, 2, 2, 1, 1, 1, 1, 1]
    assert rows(Guidance(s_min_uncond=5.0), falling)[3] == 2, "below it, not at it"


def test_without_the_negative_prompt_the_first_prompt_stands_for_it() -> None:
    asked = Guidance(skip_early=1)

    def answer(prompt: str) -> float:
        return guided(predict, sparing(always(plan(said(prompt), 7.0)), asked, 1, itertools.count()), 7.0)(
            X, 1.0
        ).item()

    assert answer("12345") == 5
    assert answer("12345 AND 234567:0.5 AND 3:-1") == 5 + 0.5 * (7 - 5) - (2 - 5)


def test_every_picture_of_a_batch_is_spared() -> None:
    calls = plan(said("12345", "1234567"), 7.0)
    step = guided(predict, sparing(always(calls), Guidance(skip_early=1), 1, itertools.count()), 7.0)
    assert step(torch.zeros(2, 1, 1, 1), 1.0).flatten().tolist() == [5, 7]


def test_a_network_that_follows_a_picture_is_asked_everything() -> None:
    calls = beside(plan(said("12345"), 7.0, negatives=2), torch.ones(1, 1, 1, 1))
    assert rows(Guidance(skip_early=1), [1.0], calls) == [3]


@pytest.mark.parametrize("prediction", [Eps(), V(), Flow()])
def test_rescaled_guidance_deviates_as_much_as_the_prompt_alone(prediction: Eps | V | Flow) -> None:
    """Lin et al. 2023, eq. 15 and 16, on what the network says of the velocity."""
    torch.manual_seed(0)
    x, plain, found = (torch.randn(2, 4, 8, 8) * size for size in (3.0, 1.0, 5.0))
    sigma = 0.75
    alpha = prediction.alpha(sigma)
    squares = alpha**2 + sigma**2

    def velocity(clean: Tensor) -> Tensor:
        found: Tensor = (x * alpha / squares - clean) * squares**0.5 / sigma
        return found

    for phi in (0.3, 1.0):
        temper = rescaling(Guidance(rescale=phi), prediction)
        assert temper is not None
        one, other = velocity(plain), velocity(found)
        ratio = one.std(dim=(1, 2, 3), keepdim=True) / other.std(dim=(1, 2, 3), keepdim=True)
        wanted = phi * other * ratio + (1 - phi) * other
        assert torch.allclose(velocity(temper(x, sigma, plain, found)), wanted, atol=1e-5)


def test_the_velocity_is_what_a_network_of_velocity_says() -> None:
    torch.manual_seed(0)
    x, output = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    temper = rescaling(Guidance(rescale=1), V())
    assert temper is not None
    doubled = V().denoised(x, 2.0, 2 * output)
    assert torch.allclose(
        temper(x, 2.0, V().denoised(x, 2.0, output), doubled), V().denoised(x, 2.0, output), atol=1e-6
    )


def test_rescaling_begins_from_nothing_but_noise() -> None:
    temper = rescaling(Guidance(rescale=0.7), Flow())
    assert temper is not None
    torch.manual_seed(0)
    x, plain = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    assert torch.isfinite(temper(x, 1.0, plain, plain * 3)).all()
    assert rescaling(Guidance(), Flow()) is None


def test_the_engine_saves_the_networks_calls(root: Path) -> None:
    calls = Calls()
    engine = engine_on(root, calls)

    def counted(**values: Any) -> int:
        calls.rows = []
        make(engine, steps=4, **values)
        return sum(calls.rows)

    assert counted(sampler="Euler") == 8
    assert counted(sampler="Euler", guidance={"skip_early": 0.5}) == 5, "three of four steps"
    assert counted(sampler="Euler", guidance={"s_min_uncond": 15}) == 6
    assert counted(sampler="Heun") == 14
    assert counted(sampler="Heun", guidance={"skip_early": 0.25}) == 11, "the first three of its eight calls"
    assert counted(sampler="DDIM CFG++", guidance={"skip_early": 0.5}) == 8, "it needs both answers at every level"


def test_contrast_is_brought_back_in_the_picture(root: Path) -> None:
    engine = engine_on(root)
    pictures = [make(engine, cfg_scale=12, guidance=asked)[0] for asked in (None, {"rescale": 0.7})]
    assert pictures[0].image.tobytes() != pictures[1].image.tobytes()
    assert pictures[1].recipe.guidance == Guidance(rescale=0.7)
