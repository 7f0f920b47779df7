"""Order of convergence on the analytic Gaussian, on both paths, with the stochastic samplers' noise turned off."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from modules.sampling.ddim import ddim
from modules.sampling.deis import deis
from modules.sampling.dpm2 import dpm2, dpm2_ancestral
from modules.sampling.dpmpp_2m import dpmpp_2m
from modules.sampling.dpmpp_2m_sde import dpmpp_2m_sde, dpmpp_2m_sde_heun
from modules.sampling.dpmpp_2s_a import dpmpp_2s_ancestral
from modules.sampling.dpmpp_3m_sde import dpmpp_3m_sde
from modules.sampling.dpmpp_sde import dpmpp_sde
from modules.sampling.euler import euler, euler_ancestral
from modules.sampling.heun import heun
from modules.sampling.heun_plus import heunpp2
from modules.sampling.ipndm import ipndm, ipndm_v
from modules.sampling.lms import lms
from modules.sampling.plms import plms
from modules.sampling.prediction import Eps, Flow, Prediction
from modules.sampling.sampler import Run
from modules.sampling.steps import level, split
from modules.sampling.unipc import unipc
from tests.sampling.gaussian import Gaussian

SPANS: dict[str, tuple[Prediction, float, float]] = {
    "diffusion": (Eps(), 10.0, 0.2),
    "flow": (Flow(), 0.9, 0.15),
}
# Multistep samplers of higher order start (or, UniPC, end) with a step of first order: second order is left overall.
ORDERS: dict[str, tuple[Run, int]] = {
    "Euler": (euler, 1),
    "Euler a": (partial(euler_ancestral, eta=0.0), 1),
    "DDIM": (ddim, 1),
    "Heun": (heun, 2),
    "DPM2": (dpm2, 2),
    "DPM2 a": (partial(dpm2_ancestral, eta=0.0), 2),
    "DPM++ 2M": (dpmpp_2m, 2),
    "DPM++ 2S a": (partial(dpmpp_2s_ancestral, eta=0.0), 2),
    "DPM++ SDE": (partial(dpmpp_sde, eta=0.0), 2),
    "DPM++ 2M SDE": (partial(dpmpp_2m_sde, eta=0.0), 2),
    "DPM++ 2M SDE Heun": (partial(dpmpp_2m_sde_heun, eta=0.0), 2),
    "PLMS": (plms, 2),
    "DPM++ 3M SDE": (partial(dpmpp_3m_sde, eta=0.0), 2),
    "UniPC": (unipc, 2),
    "UniPC bh2": (partial(unipc, uni_pc_variant="bh2"), 2),
    "UniPC vary_coeff": (partial(unipc, uni_pc_variant="vary_coeff"), 2),
    "HeunPP2": (heunpp2, 1),
    "IPNDM": (ipndm, 1),
    "IPNDM_V": (ipndm_v, 2),
    "DEIS": (deis, 2),
    "LMS": (lms, 2),
}


def silent(x: Tensor, sigma: float, sigma_next: float) -> Tensor:
    raise AssertionError("noise was drawn although eta is 0")


def error(run: Run, prediction: Prediction, high: float, low: float, steps: int) -> float:
    """The greatest error where `low` is reached, with the levels evenly spaced in log-SNR."""
    top, bottom = level(prediction, high).log_snr, level(prediction, low).log_snr
    sigmas = [prediction.sigma_at(top + (bottom - top) * i / steps) for i in range(steps + 1)]
    data = Gaussian()
    x = torch.randn(64, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * high
    exact = data.follow(prediction, x, sigmas[0], sigmas[-1])
    return float((run(data.denoiser(prediction), x, sigmas, prediction, silent) - exact).abs().max())


@pytest.mark.parametrize("path", SPANS)
@pytest.mark.parametrize("name", ORDERS)
def test_twice_the_steps_divide_the_error_by_the_order(name: str, path: str) -> None:
    (run, order), (prediction, high, low) = ORDERS[name], SPANS[path]
    coarse, fine = (error(run, prediction, high, low, steps) for steps in (80, 160))
    assert math.log2(coarse / fine) > order - 0.35 or coarse < 1e-5, "or there is hardly any"
    assert fine < {1: 3e-2, 2: 2e-3}[order]


@pytest.mark.parametrize("path", SPANS)
@pytest.mark.parametrize("name", ["DPM++ 3M SDE", "LMS"])
def test_higher_order_pays(name: str, path: str) -> None:
    assert error(ORDERS[name][0], *SPANS[path], 80) < 0.5 * error(dpmpp_2m, *SPANS[path], 80)


@pytest.mark.parametrize("name", ORDERS)
def test_a_flow_converges_from_nothing_but_noise(name: str) -> None:
    run, prediction = ORDERS[name][0], Flow()
    data = Gaussian()
    x = torch.randn(64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact = data.follow(prediction, x, 1.0, 0.05)
    errors = []
    for steps in (40, 160):
        sigmas = [1.0 - 0.95 * i / steps for i in range(steps + 1)]
        assert prediction.alpha(sigmas[0]) == 0
        end = run(data.denoiser(prediction), x, sigmas, prediction, silent)
        errors.append(float((end - exact).abs().max()))
    assert errors[1] < errors[0] / 3
    assert errors[1] < 0.03


@pytest.mark.parametrize("eta", [0.3, 1.0])
@pytest.mark.parametrize("path", SPANS)
def test_the_split_of_a_step_keeps_its_level(path: str, eta: float) -> None:
    prediction, high, low = SPANS[path]
    here, there = level(prediction, high), level(prediction, low)
    down, up = split(here, there, eta)
    assert math.hypot(down.sigma, up) == pytest.approx(there.sigma)
    assert down.alpha == there.alpha
    assert 0 < up <= there.sigma
    assert split(here, there, 0.0) == (there, 0.0)


def test_from_nothing_but_noise_all_noise_is_replaced() -> None:
    flow = Flow()
    down, up = split(level(flow, 1.0), level(flow, 0.9), 1.0)
    assert (down.sigma, up) == (0.0, 0.9)
