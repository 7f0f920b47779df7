"""On the diffusion path samplers give the latents of the published algorithms (`published.py`), in float64 and float32.

Both sides get the same noise in the same order. An adaptive sampler sees one picture at a time, the others two.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import pytest
import torch
from torch import Tensor

from modules.request import Sampling
from modules.sampling import schedules
from modules.sampling.prediction import Eps
from modules.sampling.sampler import Sampler
from tests.sampling.published import REFERENCES, SCALE, SHAPE, Guess, Recorded, Toy, ddpm
from tests.test_variants import SAMPLERS, SCHEDULES

PREDICTION = Eps()
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)


def start(sampler: Sampler, sigma: float) -> Tensor:
    shape = (1 if sampler.adaptive else SHAPE[0], *SHAPE[1:])
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * sigma


def sampled(sampler: Sampler, sigmas: list[float], dtype: torch.dtype) -> Tensor:
    x, guess = start(sampler, sigmas[0]).to(dtype), seen(sampler, sigmas, Toy(dtype))
    return sampler.run(guess, x, sigmas, PREDICTION, Recorded(dtype, len(x)))


def seen(sampler: Sampler, sigmas: list[float], toy: Toy) -> Guess:
    """What the sampler sees: the guess, for one with a guidance of its own under that."""
    if sampler.guidance is None:
        return toy
    stretch = sampler.guidance(sigmas, PREDICTION)
    return toy.guided(lambda sigma: SCALE * stretch(sigma))


def expected(sampler: Sampler, sigmas: list[float], **own: float | str) -> Tensor:
    x = start(sampler, sigmas[0])
    reference = REFERENCES[sampler.name]
    return reference(Toy(torch.float64), x, sigmas, Recorded(torch.float64, len(x)), **own)


def apart(made: Tensor, wanted: Tensor) -> float:
    return float((made - wanted).norm() / wanted.norm())


def test_every_built_in_sampler_has_a_reference() -> None:
    assert set(REFERENCES) == set(SAMPLERS)


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
@pytest.mark.parametrize("schedule", ["karras", "uniform", "sgm_uniform", "ddim"])
@every_sampler
def test_latents_are_those_of_the_published_algorithm(sampler: Sampler, schedule: str, steps: int) -> None:
    sigmas = getattr(schedules, schedule)(steps, PREDICTION)
    wanted = expected(sampler, sigmas)
    assert apart(sampled(sampler, sigmas, torch.float64), wanted) < 1e-8
    if steps > 2:  # two steps from 14.6 to 0.03 magnify float32's rounding, here as there
        assert apart(sampled(sampler, sigmas, torch.float32), wanted) < 1e-5


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
def test_euler_a_is_ddpm_in_these_coordinates(steps: int) -> None:
    sigmas, sampler = schedules.karras(steps, PREDICTION), SAMPLERS["Euler a"]
    assert "ddpm" in sampler.aliases
    wanted = ddpm(Toy(torch.float64), start(sampler, sigmas[0]), sigmas, Recorded(torch.float64))
    assert apart(sampled(sampler, sigmas, torch.float64), wanted) < 1e-8


@pytest.mark.parametrize("steps", [19, 25, 36, 50])
def test_restart_goes_back_up_as_often_as_published(steps: int) -> None:
    sigmas = schedules.karras(steps, PREDICTION)
    levels = SAMPLERS["Restart"].levels(sigmas, PREDICTION)
    ups = sum(there > here for here, there in pairwise(levels))
    assert (len(levels), ups) == (steps + 1, {19: 0, 25: 1, 36: 2, 50: 2}[steps])
    assert apart(sampled(SAMPLERS["Restart"], sigmas, torch.float64), expected(SAMPLERS["Restart"], sigmas)) < 1e-8


NUMBERS = {
    "eta": Sampling(eta=0.6),
    "no eta": Sampling(eta=0.0),
    "eta_ddim": Sampling(eta_ddim=0.7),
    "churn": Sampling(s_churn=5.0),
    "much churn, within limits": Sampling(s_churn=60.0, s_tmin=0.3, s_tmax=6.0, s_noise=1.03),
    "s_noise": Sampling(s_noise=0.9),
    "UniPC bh2": Sampling(uni_pc_variant="bh2", uni_pc_order=2),
    "UniPC with varying coefficients": Sampling(uni_pc_variant="vary_coeff"),
    "UniPC of a high order to the end": Sampling(uni_pc_order=5, uni_pc_lower_order_final=False),
}


@pytest.mark.parametrize("asked", NUMBERS.values(), ids=NUMBERS)
@every_sampler
def test_a_samplers_own_numbers_do_what_is_published(sampler: Sampler, asked: Sampling) -> None:
    tuned = sampler.tuned(asked)
    own = {name: value for name, value in asked.numbers.items() if name in sampler.takes}
    sigmas = schedules.karras(12, PREDICTION)
    assert apart(sampled(tuned, sigmas, torch.float64), expected(sampler, sigmas, **own)) < 1e-8
    changed = not torch.equal(sampled(tuned, sigmas, torch.float64), sampled(sampler, sigmas, torch.float64))
    assert changed == bool(own.keys() - {"s_noise"} or (own and sampler.noise != "none"))


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("variant", ["bh1", "bh2", "vary_coeff"])
def test_every_variant_of_unipc_is_the_published_one(variant: Literal["bh1", "bh2", "vary_coeff"], order: int) -> None:
    for final in (True, False):
        asked = Sampling(uni_pc_variant=variant, uni_pc_order=order, uni_pc_lower_order_final=final)
        for steps in (1, 2, 3, 10):
            sigmas = schedules.log_snr(steps, PREDICTION)
            wanted = expected(SAMPLERS["UniPC"], sigmas, **asked.numbers)
            assert apart(sampled(SAMPLERS["UniPC"].tuned(asked), sigmas, torch.float64), wanted) < 1e-8


def test_unipc_chooses_its_spacing_where_the_schedule_is_automatic() -> None:
    sampler = SAMPLERS["UniPC"]
    for chosen, schedule in {"time_uniform": "SGM Uniform", "time_quadratic": "Quadratic", "logSNR": "Log SNR"}.items():
        assert sampler.tuned(Sampling.model_validate({"uni_pc_skip_type": chosen})).schedule == schedule
        assert schedule in SCHEDULES
    assert SAMPLERS["DDIM"].tuned(Sampling(uni_pc_skip_type="logSNR")).schedule == "DDIM"


TAKES = {
    "Euler a": {"eta"},
    "Euler": {"s_churn", "s_tmin", "s_tmax", "s_noise"},
    "Heun": {"s_churn", "s_tmin", "s_tmax", "s_noise"},
    "DPM2": {"s_churn", "s_tmin", "s_tmax", "s_noise"},
    "DPM adaptive": {"eta"},
    "DDIM": {"eta_ddim"},
    "DDIM CFG++": {"eta_ddim"},
    "UniPC": {"uni_pc_variant", "uni_pc_order", "uni_pc_lower_order_final"},
} | {
    name: {"eta", "s_noise"}
    for name in ("DPM2 a", "DPM++ 2S a", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE", "DPM fast")
}


def test_samplers_take_the_numbers_that_they_take_in_a1111() -> None:
    assert {name: set(sampler.takes) for name, sampler in SAMPLERS.items() if sampler.takes} == TAKES
