"""On the diffusion path samplers give the latents of the published algorithms, here written out plainly in float64.

The references follow the papers' and k-diffusion's notation (t = -log sigma), step by step and without sharing a line
with the room they test. Both sides get the same noise in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import integrate
from torch import Tensor

from modules.sampling import schedules
from modules.sampling.prediction import Eps
from modules.sampling.sampler import Sampler
from tests.test_variants import SAMPLERS

PREDICTION = Eps()
SHAPE = (2, 4, 8, 8)
Guess = Callable[[Tensor, float], Tensor]
Draw = Callable[[], Tensor]
Reference = Callable[[Guess, Tensor, Sequence[float], Draw], Tensor]


class Toy:
    """A smooth nonlinear guess: two broad modes, and neighbours that matter."""

    def __init__(self, dtype: torch.dtype) -> None:
        generator = torch.Generator().manual_seed(1)
        self.modes = torch.randn(2, *SHAPE[1:], generator=generator, dtype=torch.float64).to(dtype)

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        total = sigma**2 + 0.5**2
        first = torch.sigmoid(((x - self.modes[1]) ** 2 - (x - self.modes[0]) ** 2) / (8 * total))
        mean = first * self.modes[0] + (1 - first) * self.modes[1]
        return (x * 0.25 + mean * sigma**2) / total + 0.1 * torch.tanh(x.roll(1, -1) / (1 + sigma))


class Recorded:
    """The same noise for both sides, in the order it is drawn."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.generator = torch.Generator().manual_seed(2)
        self.dtype = dtype

    def __call__(self, x: Tensor | None = None, sigma: float = 0.0, sigma_next: float = 0.0) -> Tensor:
        return torch.randn(SHAPE, generator=self.generator, dtype=torch.float64).to(self.dtype)


def ancestral(s: float, t: float, eta: float = 1.0) -> tuple[float, float]:
    up = min(t, eta * (t**2 * (s**2 - t**2) / s**2) ** 0.5)
    return (t**2 - up**2) ** 0.5, up


def euler(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw) -> Tensor:
    for s, t in pairwise(sigmas):
        x = x + (x - guess(x, s)) / s * (t - s)
    return x


def euler_a(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw) -> Tensor:
    for s, t in pairwise(sigmas):
        down, up = ancestral(s, t)
        x = x + (x - guess(x, s)) / s * (down - s)
        if t > 0:
            x = x + draw() * up
    return x


def heun(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw) -> Tensor:
    for s, t in pairwise(sigmas):
        d = (x - guess(x, s)) / s
        if t == 0:
            x = x + d * (t - s)
        else:
            x_2 = x + d * (t - s)
            d_2 = (x_2 - guess(x_2, t)) / t
            x = x + (d + d_2) / 2 * (t - s)
    return x


def dpm_2(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw, eta: float = 0.0) -> Tensor:
    for s, t in pairwise(sigmas):
        down, up = ancestral(s, t, eta)
        d = (x - guess(x, s)) / s
        if down == 0:
            x = x + d * (down - s)
        else:
            mid = math.exp((math.log(s) + math.log(down)) / 2)
            x_2 = x + d * (mid - s)
            x = x + (x_2 - guess(x_2, mid)) / mid * (down - s)
            if eta:
                x = x + draw() * up
    return x


def dpm_2_a(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw) -> Tensor:
    return dpm_2(guess, x, sigmas, draw, 1.0)


def lms(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw) -> Tensor:
    slopes: list[Tensor] = []
    for i, s in enumerate(sigmas[:-1]):
        slopes.append((x - guess(x, s)) / s)
        order = min(i + 1, 4)
        for j in range(order):

            def product(tau: float, i: int = i, j: int = j, order: int = order) -> float:
                others = [k for k in range(order) if k != j]
                return math.prod((tau - sigmas[i - k]) / (sigmas[i - j] - sigmas[i - k]) for k in others)

            x = x + slopes[-1 - j] * integrate.quad(product, s, sigmas[i + 1])[0]
    return x


def dpmpp_2m(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw) -> Tensor:
    old: Tensor | None = None
    for i, (s, t) in enumerate(pairwise(sigmas)):
        denoised = guess(x, s)
        if t == 0:
            return denoised
        h = math.log(s) - math.log(t)
        if old is None:
            x = t / s * x - math.expm1(-h) * denoised
        else:
            r = (math.log(sigmas[i - 1]) - math.log(s)) / h
            x = t / s * x - math.expm1(-h) * ((1 + 1 / (2 * r)) * denoised - 1 / (2 * r) * old)
        old = denoised
    return x


def dpmpp_2s_a(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw) -> Tensor:
    for s, t in pairwise(sigmas):
        denoised = guess(x, s)
        down, up = ancestral(s, t)
        if down == 0:
            x = x + (x - denoised) / s * (down - s)
        else:
            h = math.log(s) - math.log(down)
            mid = math.exp(math.log(s) - h / 2)
            x_2 = mid / s * x - math.expm1(-h / 2) * denoised
            x = down / s * x - math.expm1(-h) * guess(x_2, mid)
        if t > 0:
            x = x + draw() * up
    return x


def dpmpp_sde(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw) -> Tensor:
    r = 1 / 2
    for s, t in pairwise(sigmas):
        denoised = guess(x, s)
        if t == 0:
            x = x + (x - denoised) / s * (t - s)
            continue
        mid = math.exp(math.log(s) - r * (math.log(s) - math.log(t)))
        down, up = ancestral(s, mid)
        x_2 = down / s * x - math.expm1(math.log(down) - math.log(s)) * denoised + draw() * up
        denoised_2 = guess(x_2, mid)
        down, up = ancestral(s, t)
        denoised_d = (1 - 1 / (2 * r)) * denoised + 1 / (2 * r) * denoised_2
        x = down / s * x - math.expm1(math.log(down) - math.log(s)) * denoised_d + draw() * up
    return x


def dpmpp_2m_sde(
    guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw, eta: float = 1.0, heun: bool = False
) -> Tensor:
    old, h_last = x, 0.0
    for i, (s, t) in enumerate(pairwise(sigmas)):
        denoised = guess(x, s)
        if t == 0:
            return denoised
        h = math.log(s) - math.log(t)
        eta_h = eta * h
        x = t / s * math.exp(-eta_h) * x - math.expm1(-h - eta_h) * denoised
        if i > 0:
            r = h_last / h
            if heun:
                x = x + (-math.expm1(-h - eta_h) / (-h - eta_h) + 1) / r * (denoised - old)
            else:
                x = x - 0.5 * math.expm1(-h - eta_h) / r * (denoised - old)
        x = x + draw() * t * math.sqrt(-math.expm1(-2 * eta_h))
        old, h_last = denoised, h
    return x


def dpmpp_2m_sde_heun(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw) -> Tensor:
    return dpmpp_2m_sde(guess, x, sigmas, draw, heun=True)


def dpmpp_3m_sde(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw, eta: float = 1.0) -> Tensor:
    guesses: list[Tensor] = []
    hs: list[float] = []
    for s, t in pairwise(sigmas):
        denoised = guess(x, s)
        if t == 0:
            return denoised
        h = math.log(s) - math.log(t)
        h_eta = h * (eta + 1)
        x = math.exp(-h_eta) * x - math.expm1(-h_eta) * denoised
        phi_2 = math.expm1(-h_eta) / h_eta + 1
        phi_3 = phi_2 / h_eta - 0.5
        if len(hs) >= 2:
            r0, r1 = hs[-1] / h, hs[-2] / h
            d1_0, d1_1 = (denoised - guesses[-1]) / r0, (guesses[-1] - guesses[-2]) / r1
            d1 = d1_0 + (d1_0 - d1_1) * r0 / (r0 + r1)
            d2 = (d1_0 - d1_1) / (r0 + r1)
            x = x + phi_2 * d1 - phi_3 * d2
        elif hs:
            x = x + phi_2 * (denoised - guesses[-1]) / (hs[-1] / h)
        x = x + draw() * t * math.sqrt(-math.expm1(-2 * h * eta))
        guesses.append(denoised)
        hs.append(h)
    return x


def kept(sigma: float) -> float:
    """The product of 1 - beta that belongs to sigma, "alpha bar" of the variance-preserving papers."""
    return 1 / (1 + sigma**2)


def preserving(guess: Guess) -> Guess:
    """The noise as guessed from a variance-preserving latent."""
    return lambda y, sigma: (y / math.sqrt(kept(sigma)) - guess(y / math.sqrt(kept(sigma)), sigma)) / sigma


def ddim_step(y: Tensor, e: Tensor, s: float, t: float) -> Tensor:
    clean = (y - math.sqrt(1 - kept(s)) * e) / math.sqrt(kept(s))
    return math.sqrt(kept(t)) * clean + math.sqrt(1 - kept(t)) * e


def ddim(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw) -> Tensor:
    eps, y = preserving(guess), x * math.sqrt(kept(sigmas[0]))
    for s, t in pairwise(sigmas):
        y = ddim_step(y, eps(y, s), s, t)
    return y


def plms(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw) -> Tensor:
    eps, y = preserving(guess), x * math.sqrt(kept(sigmas[0]))
    old: list[Tensor] = []
    for s, t in pairwise(sigmas):
        e = eps(y, s)
        if t == 0:
            mixed = e
        elif len(old) == 0:
            mixed = (e + eps(ddim_step(y, e, s, t), t)) / 2
        elif len(old) == 1:
            mixed = (3 * e - old[-1]) / 2
        elif len(old) == 2:
            mixed = (23 * e - 16 * old[-1] + 5 * old[-2]) / 12
        else:
            mixed = (55 * e - 59 * old[-1] + 37 * old[-2] - 9 * old[-3]) / 24
        old.append(e)
        y = ddim_step(y, mixed, s, t)
    return y


def unipc(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw) -> Tensor:
    """Zhao et al., data prediction, variance-preserving latents, B(h) = -h; order 1, 2, 3 .. 3, 2, 1."""
    alphas = [math.sqrt(kept(sigma)) for sigma in sigmas]
    noises = [math.sqrt(1 - kept(sigma)) for sigma in sigmas]
    lambdas = [-math.log(sigma) if sigma else math.inf for sigma in sigmas]
    steps = len(sigmas) - 1

    def model(y: Tensor, i: int) -> Tensor:
        return guess(y / alphas[i], sigmas[i])

    y = x * alphas[0]
    outputs = [model(y, 0)]
    for n in range(1, steps + 1):
        order = min(3, n, steps + 1 - n)
        h = lambdas[n] - lambdas[n - 1]
        base = noises[n] / noises[n - 1] * y - alphas[n] * math.expm1(-h) * outputs[-1]
        if n == steps:
            return base
        ratios = [(lambdas[n - 1 - k] - lambdas[n - 1]) / h for k in range(1, order)]
        changes = [(outputs[-1 - k] - outputs[-1]) / ratios[k - 1] for k in range(1, order)]
        ratios.append(1.0)
        matrix = np.array([[ratio**k for ratio in ratios] for k in range(order)])
        moments, phi, factorial = [], math.expm1(-h) / -h - 1, 1
        for k in range(1, order + 1):
            moments.append(phi * factorial / -h)
            factorial *= k + 1
            phi = phi / -h - 1 / factorial
        predictor = [[], [0.5]][order - 1] if order < 3 else np.linalg.solve(matrix[:-1, :-1], moments[:-1]).tolist()
        corrector = [0.5] if order == 1 else np.linalg.solve(matrix, moments).tolist()
        y = base + alphas[n] * h * sum(w * d for w, d in zip(predictor, changes, strict=True))
        outputs.append(model(y, n))
        changes.append(outputs[-1] - outputs[-2])
        y = base + alphas[n] * h * sum(w * d for w, d in zip(corrector, changes, strict=True))
    return y


def lcm(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw) -> Tensor:
    for s, t in pairwise(sigmas):
        x = guess(x, s)
        if t > 0:
            x = x + t * draw()
    return x


REFERENCES: dict[str, Reference] = {
    "Euler": euler,
    "Euler a": euler_a,
    "Heun": heun,
    "DPM2": dpm_2,
    "DPM2 a": dpm_2_a,
    "LMS": lms,
    "DPM++ 2M": dpmpp_2m,
    "DPM++ 2S a": dpmpp_2s_a,
    "DPM++ SDE": dpmpp_sde,
    "DPM++ 2M SDE": dpmpp_2m_sde,
    "DPM++ 2M SDE Heun": dpmpp_2m_sde_heun,
    "DPM++ 3M SDE": dpmpp_3m_sde,
    "DDIM": ddim,
    "PLMS": plms,
    "UniPC": unipc,
    "LCM": lcm,
}


def test_every_built_in_sampler_has_a_reference() -> None:
    assert set(REFERENCES) == set(SAMPLERS)


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
@pytest.mark.parametrize("schedule", ["karras", "uniform", "sgm_uniform", "ddim"])
@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_latents_are_those_of_the_published_algorithm(sampler: Sampler, schedule: str, steps: int) -> None:
    sigmas = getattr(schedules, schedule)(steps, PREDICTION)
    start = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * sigmas[0]
    expected = REFERENCES[sampler.name](Toy(torch.float64), start, sigmas, Recorded(torch.float64))
    exact = sampler.run(Toy(torch.float64), start, sigmas, PREDICTION, Recorded(torch.float64))
    assert float((exact - expected).norm() / expected.norm()) < 1e-8
    if steps > 2:  # two steps from 14.6 to 0.03 magnify float32's rounding, here as there
        got = sampler.run(Toy(torch.float32), start.float(), sigmas, PREDICTION, Recorded(torch.float32))
        assert float((got - expected).norm() / expected.norm()) < 1e-5
