"""The published sampling algorithms, written out plainly for the diffusion path.

They follow the papers' and k-diffusion's notation (t = -log sigma), step by step and without sharing a line with the
room they test. What draws noise gets it from `draw`, in order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from scipy import integrate
from torch import Tensor

SHAPE = (2, 4, 8, 8)
SIGMA_MIN = math.sqrt(0.00085 / (1 - 0.00085))  # of Stable Diffusion, where DPM-Solver ends
SCALE = 7.0  # of guidance, where a sampler asks for two guesses
Guess = Callable[[Tensor, float], Tensor]
Draw = Callable[[], Tensor]
Reference = Callable[..., Tensor]


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

    def without(self, x: Tensor, sigma: float) -> Tensor:
        """Another guess, as that without the prompt would be."""
        return (x * 0.2 + self.modes.mean() * sigma**2) / (sigma**2 + 0.2) + 0.05 * torch.tanh(x.roll(1, -2))

    def guided(self, scale: Callable[[float], float]) -> Guess:
        """The guess with classifier-free guidance, whose scale depends on the level."""
        return lambda x, sigma: self.without(x, sigma) + scale(sigma) * (self(x, sigma) - self.without(x, sigma))


class Recorded:
    """The same noise for both sides, in the order it is drawn."""

    def __init__(self, dtype: torch.dtype, pictures: int = SHAPE[0]) -> None:
        self.generator = torch.Generator().manual_seed(2)
        self.dtype = dtype
        self.shape = (pictures, *SHAPE[1:])

    def __call__(self, x: Tensor | None = None, sigma: float = 0.0, sigma_next: float = 0.0) -> Tensor:
        return torch.randn(self.shape, generator=self.generator, dtype=torch.float64).to(self.dtype)


def ancestral(s: float, t: float, eta: float = 1.0) -> tuple[float, float]:
    up = min(t, eta * (t**2 * (s**2 - t**2) / s**2) ** 0.5)
    return (t**2 - up**2) ** 0.5, up


def churned(
    x: Tensor,
    sigmas: Sequence[float],
    i: int,
    draw: Draw,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> tuple[Tensor, float]:
    """Karras et al. 2022, algorithm 2, lines 4 to 6: x and sigma hat."""
    gamma = min(s_churn / (len(sigmas) - 1), 2**0.5 - 1) if s_tmin <= sigmas[i] <= s_tmax else 0.0
    eps = draw() * s_noise if s_churn else 0.0
    hat = sigmas[i] * (gamma + 1)
    return (x + eps * (hat**2 - sigmas[i] ** 2) ** 0.5 if gamma > 0 else x), hat


def euler(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw, **own: float) -> Tensor:
    for i, t in enumerate(sigmas[1:]):
        x, s = churned(x, sigmas, i, draw, **own)
        x = x + (x - guess(x, s)) / s * (t - s)
    return x


def euler_a(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw, eta: float = 1.0) -> Tensor:
    for s, t in pairwise(sigmas):
        down, up = ancestral(s, t, eta)
        x = x + (x - guess(x, s)) / s * (down - s)
        if t > 0:
            x = x + draw() * up
    return x


def heun(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw, **own: float) -> Tensor:
    for i, t in enumerate(sigmas[1:]):
        x, s = churned(x, sigmas, i, draw, **own)
        d = (x - guess(x, s)) / s
        if t == 0:
            x = x + d * (t - s)
        else:
            x_2 = x + d * (t - s)
            d_2 = (x_2 - guess(x_2, t)) / t
            x = x + (d + d_2) / 2 * (t - s)
    return x


def dpm_2(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw, **own: float) -> Tensor:
    for i, t in enumerate(sigmas[1:]):
        x, s = churned(x, sigmas, i, draw, **own)
        d = (x - guess(x, s)) / s
        if t == 0:
            x = x + d * (t - s)
        else:
            mid = math.exp((math.log(s) + math.log(t)) / 2)
            x_2 = x + d * (mid - s)
            x = x + (x_2 - guess(x_2, mid)) / mid * (t - s)
    return x


def dpm_2_a(
    guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw, eta: float = 1.0, s_noise: float = 1.0
) -> Tensor:
    for s, t in pairwise(sigmas):
        down, up = ancestral(s, t, eta)
        d = (x - guess(x, s)) / s
        if down == 0:
            x = x + d * (down - s)
        else:
            mid = math.exp((math.log(s) + math.log(down)) / 2)
            x_2 = x + d * (mid - s)
            x = x + (x_2 - guess(x_2, mid)) / mid * (down - s)
            x = x + draw() * s_noise * up
    return x


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


def dpmpp_2s_a(
    guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw, eta: float = 1.0, s_noise: float = 1.0
) -> Tensor:
    for s, t in pairwise(sigmas):
        denoised = guess(x, s)
        down, up = ancestral(s, t, eta)
        if down == 0:
            x = x + (x - denoised) / s * (down - s)
        else:
            h = math.log(s) - math.log(down)
            mid = math.exp(math.log(s) - h / 2)
            x_2 = mid / s * x - math.expm1(-h / 2) * denoised
            x = down / s * x - math.expm1(-h) * guess(x_2, mid)
        if t > 0:
            x = x + draw() * s_noise * up
    return x


def dpmpp_sde(
    guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw, eta: float = 1.0, s_noise: float = 1.0
) -> Tensor:
    r = 1 / 2
    for s, t in pairwise(sigmas):
        denoised = guess(x, s)
        if t == 0:
            x = x + (x - denoised) / s * (t - s)
            continue
        mid = math.exp(math.log(s) - r * (math.log(s) - math.log(t)))
        down, up = ancestral(s, mid, eta)
        x_2 = down / s * x - math.expm1(math.log(down) - math.log(s)) * denoised + draw() * s_noise * up
        denoised_2 = guess(x_2, mid)
        down, up = ancestral(s, t, eta)
        denoised_d = (1 - 1 / (2 * r)) * denoised + 1 / (2 * r) * denoised_2
        x = down / s * x - math.expm1(math.log(down) - math.log(s)) * denoised_d + draw() * s_noise * up
    return x


def dpmpp_2m_sde(
    guess: Guess,
    x: Tensor,
    sigmas: Sequence[float],
    draw: Draw,
    eta: float = 1.0,
    s_noise: float = 1.0,
    heun: bool = False,
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
        if eta:
            x = x + draw() * t * math.sqrt(-math.expm1(-2 * eta_h)) * s_noise
        old, h_last = denoised, h
    return x


def dpmpp_2m_sde_heun(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw, **own: float) -> Tensor:
    return dpmpp_2m_sde(guess, x, sigmas, draw, **own, heun=True)


def dpmpp_3m_sde(
    guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw, eta: float = 1.0, s_noise: float = 1.0
) -> Tensor:
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
        if eta:
            x = x + draw() * t * math.sqrt(-math.expm1(-2 * h * eta)) * s_noise
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


def ddim(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw, eta_ddim: float = 0.0) -> Tensor:
    """Song et al. 2020, eq. 12 and 16, in variance-preserving latents."""
    eps, y = preserving(guess), x * math.sqrt(kept(sigmas[0]))
    for s, t in pairwise(sigmas):
        e, fresh = eps(y, s), fresh_noise(s, t, eta_ddim)
        clean = (y - math.sqrt(1 - kept(s)) * e) / math.sqrt(kept(s))
        y = math.sqrt(kept(t)) * clean + math.sqrt(1 - kept(t) - fresh**2) * e
        if fresh:
            y = y + fresh * draw()
    return y


def fresh_noise(s: float, t: float, eta: float) -> float:
    return eta * math.sqrt((1 - kept(t)) / (1 - kept(s))) * math.sqrt(1 - kept(s) / kept(t))


def ddim_cfgpp(toy: Toy, x: Tensor, sigmas: Sequence[float], draw: Draw, eta_ddim: float = 0.0) -> Tensor:
    """Chung et al. 2024, algorithm 2: the picture of the guess with guidance, the noise of that without."""
    guided, without = preserving(toy.guided(lambda sigma: SCALE / 12.5)), preserving(toy.without)
    y = x * math.sqrt(kept(sigmas[0]))
    for s, t in pairwise(sigmas):
        fresh = fresh_noise(s, t, eta_ddim)
        clean = (y - math.sqrt(1 - kept(s)) * guided(y, s)) / math.sqrt(kept(s))
        y = math.sqrt(kept(t)) * clean + math.sqrt(1 - kept(t) - fresh**2) * without(y, s)
        if fresh:
            y = y + fresh * draw()
    return y


def karras(count: int, low: float, high: float) -> list[float]:
    a, b = high ** (1 / 7), low ** (1 / 7)
    return [(a + i / (count - 1) * (b - a)) ** 7 for i in range(count)]


def restart(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw) -> Tensor:
    """Xu et al. 2023, with the restarts A1111 chooses: {level: (steps, times, level to go back up to)}."""
    steps, wanted = len(sigmas) - 1, {}
    levels = [*sigmas]
    if steps >= 20:
        each, times = (steps // 4, 2) if steps >= 36 else (9, 1)
        levels = [*karras(steps - each * times, sigmas[-2], sigmas[0]), 0.0]
        wanted = {int(np.argmin(np.abs(np.array(levels) - 0.1))): (each, times, 2.0)}
    taken = []
    for i, (s, t) in enumerate(pairwise(levels)):
        taken.append((s, t))
        if i + 1 in wanted:
            each, times, top = wanted[i + 1]
            above = int(np.argmin(np.abs(np.array(levels) - top)))
            if above < i + 1:
                taken += [*pairwise(karras(each + 1, levels[i + 1], levels[above]))] * times
    last = taken[0][0]
    for s, t in taken:
        if s > last:
            x = x + draw() * (s**2 - last**2) ** 0.5
        x = heun(guess, x, [s, t], draw)
        last = t
    return x


def dpm_solver(guess: Guess, x: Tensor, t: float, t_next: float, order: int, first: Tensor) -> tuple[Tensor, Tensor]:
    """DPM-Solver-1, 2 or 3 (Lu et al. 2022, algorithms 1, 4 and 5), and the one below with the same evaluations."""
    h = t_next - t

    def eps(u: Tensor, s: float) -> Tensor:
        return (u - guess(u, math.exp(-s))) / math.exp(-s)

    x_1 = x - math.exp(-t_next) * math.expm1(h) * first
    if order == 1:
        return x_1, x_1
    r1 = 1 / 2 if order == 2 else 1 / 3
    s1 = t + r1 * h
    eps_r1 = eps(x - math.exp(-s1) * math.expm1(r1 * h) * first, s1)
    x_2 = x_1 - math.exp(-t_next) / (2 * r1) * math.expm1(h) * (eps_r1 - first)
    if order == 2:
        return x_2, x_1
    r2 = 2 / 3
    s2 = t + r2 * h
    u2 = x - math.exp(-s2) * math.expm1(r2 * h) * first
    u2 = u2 - math.exp(-s2) * (r2 / r1) * (math.expm1(r2 * h) / (r2 * h) - 1) * (eps_r1 - first)
    eps_r2 = eps(u2, s2)
    return x_1 - math.exp(-t_next) / r2 * (math.expm1(h) / h - 1) * (eps_r2 - first), x_2


def downwards(t: float, t_next: float, t_end: float, eta: float) -> tuple[float, float]:
    """Where a step leads to, and the noise that leads back up."""
    if not eta or t_next == t_end:  # there sigma down lies beyond the end
        return t_next, 0.0
    down, _ = ancestral(math.exp(-t), math.exp(-t_next), eta)
    t_down = min(t_end, -math.log(down)) if down else t_end
    return t_down, math.sqrt(math.exp(-t_next) ** 2 - math.exp(-t_down) ** 2)


def dpm_fast(
    guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw, eta: float = 1.0, s_noise: float = 1.0
) -> Tensor:
    nfe, t_start, t_end = len(sigmas) - 1, -math.log(sigmas[0]), -math.log(SIGMA_MIN)
    m = math.floor(nfe / 3) + 1
    ts = [t_start + i / m * (t_end - t_start) for i in range(m)] + [t_end]
    orders = [3] * (m - 2) + [2, 1] if nfe % 3 == 0 else [3] * (m - 1) + [nfe % 3]
    for i, order in enumerate(orders):
        t_next, up = downwards(ts[i], ts[i + 1], t_end, eta)
        first = (x - guess(x, math.exp(-ts[i]))) / math.exp(-ts[i])
        x, _ = dpm_solver(guess, x, ts[i], t_next, order, first)
        if up:
            x = x + up * s_noise * draw()
    return x


def dpm_adaptive(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw, eta: float = 1.0) -> Tensor:
    """The third order with the second inside; rtol 0.05, atol 0.0078, h 0.05, an integral controller, safety 0.81."""
    s, t_end, h, x_prev = -math.log(sigmas[0]), -math.log(SIGMA_MIN), 0.05, x
    while s < t_end - 1e-5:
        t = min(t_end, s + h)
        t_down, up = downwards(s, t, t_end, eta)
        first = (x - guess(x, math.exp(-s))) / math.exp(-s)
        x_high, x_low = dpm_solver(guess, x, s, t_down, 3, first)
        delta = torch.maximum(torch.full_like(x, 0.0078), 0.05 * torch.maximum(x_low.abs(), x_prev.abs()))
        error = float(torch.linalg.norm((x_low - x_high) / delta)) / math.sqrt(x.numel())
        factor = 1 + math.atan((1 / (error + 1e-8)) ** (1 / (1.5 if eta else 3)) - 1)
        if factor >= 0.81:
            x_prev, x, s = x_low, x_high, t
            if up:
                x = x + up * draw()
        h *= factor
    return x


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


def moments_of(h: float, count: int) -> list[float]:
    """phi_2(-h), phi_3(-h), … as UniPC's authors name and find them: "h_phi_k"."""
    found, phi, factorial = [], math.expm1(-h) / -h - 1, 1
    for k in range(1, count + 1):
        found.append(phi)
        factorial *= k + 1
        phi = phi / -h - 1 / factorial
    return found


def fixed_weights(ratios: Sequence[float], h: float, b_h: float) -> list[float]:
    """UniPC with B(h): R a = b of equation 9, where that is not one by one, and B(h) a."""
    if len(ratios) <= 1:
        return [0.5 * b_h] * len(ratios)
    matrix = np.array([[ratio**k for ratio in ratios] for k in range(len(ratios))])
    phis = moments_of(h, len(ratios))
    wanted = [phi * math.factorial(k) / b_h for k, phi in enumerate(phis, 1)]
    return [b_h * each for each in np.linalg.solve(matrix, wanted).tolist()]


def varying_weights(ratios: Sequence[float], h: float) -> list[float]:
    """UniPC with coefficients that vary: C_mk = r_m^(k-1) / k!, A = C^-1, the sum over k of phi_(k+1) A_km."""
    if not ratios:
        return []
    size = len(ratios)
    c = np.array([[ratio**k / math.factorial(k + 1) for k in range(size)] for ratio in ratios])
    return [float(each) for each in np.array(moments_of(h, size)) @ np.linalg.inv(c)]


def unipc(
    guess: Guess,
    x: Tensor,
    sigmas: Sequence[float],
    draw: Draw,
    uni_pc_order: int = 3,
    uni_pc_variant: str = "bh1",
    uni_pc_lower_order_final: bool = True,
) -> Tensor:
    """Zhao et al., data prediction, variance-preserving latents; order 1, 2, 3 .. 3, 2, 1."""
    alphas = [math.sqrt(kept(sigma)) for sigma in sigmas]
    noises = [math.sqrt(1 - kept(sigma)) for sigma in sigmas]
    lambdas = [-math.log(sigma) if sigma else math.inf for sigma in sigmas]
    steps = len(sigmas) - 1

    def model(y: Tensor, i: int) -> Tensor:
        return guess(y / alphas[i], sigmas[i])

    y = x * alphas[0]
    outputs = [model(y, 0)]
    for n in range(1, steps + 1):
        order = min(uni_pc_order, n, steps + 1 - n if uni_pc_lower_order_final else n)
        h = lambdas[n] - lambdas[n - 1]
        base = noises[n] / noises[n - 1] * y - alphas[n] * math.expm1(-h) * outputs[-1]
        if n == steps:
            return base
        ratios = [(lambdas[n - 1 - k] - lambdas[n - 1]) / h for k in range(1, order)]
        changes = [(outputs[-1 - k] - outputs[-1]) / ratios[k - 1] for k in range(1, order)]
        if uni_pc_variant == "vary_coeff":
            predictor, corrector = (varying_weights(each, h) for each in (ratios, [*ratios, 1.0]))
        else:
            b_h = math.expm1(-h) if uni_pc_variant == "bh2" else -h
            predictor, corrector = (fixed_weights(each, h, b_h) for each in (ratios, [*ratios, 1.0]))
        y = base - alphas[n] * sum(w * d for w, d in zip(predictor, changes, strict=True))
        outputs.append(model(y, n))
        changes.append(outputs[-1] - outputs[-2])
        y = base - alphas[n] * sum(w * d for w, d in zip(corrector, changes, strict=True))
    return y


def heunpp2(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw) -> Tensor:
    """Carzit's Heun++ 2: Euler's step to 0, Heun's before it, and two levels ahead before that."""
    for i, (s, t) in enumerate(pairwise(sigmas)):
        d = (x - guess(x, s)) / s
        if t == 0:
            x = x + d * (t - s)
            continue
        x_2 = x + d * (t - s)
        d_2 = (x_2 - guess(x_2, t)) / t
        u = sigmas[i + 2]
        if u == 0:
            w_2 = t / (2 * sigmas[0])
            x = x + (d * (1 - w_2) + d_2 * w_2) * (t - s)
            continue
        x_3 = x_2 + d_2 * (u - t)
        d_3 = (x_3 - guess(x_3, u)) / u
        w_2, w_3 = t / (3 * sigmas[0]), u / (3 * sigmas[0])
        x = x + (d * (1 - w_2 - w_3) + d_2 * w_2 + d_3 * w_3) * (t - s)
    return x


def ipndm(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw) -> Tensor:
    """Zhang and Chen 2022, as zju-pi's diff-sampler has it."""
    old: list[Tensor] = []
    for i, (s, t) in enumerate(pairwise(sigmas)):
        denoised = guess(x, s)
        d = (x - denoised) / s
        if t == 0:
            return denoised
        if i == 0:
            mixed = d
        elif i == 1:
            mixed = (3 * d - old[-1]) / 2
        elif i == 2:
            mixed = (23 * d - 16 * old[-1] + 5 * old[-2]) / 12
        else:
            mixed = (55 * d - 59 * old[-1] + 37 * old[-2] - 9 * old[-3]) / 24
        old.append(d)
        x = x + (t - s) * mixed
    return x


def extrapolated(
    guess: Guess, x: Tensor, sigmas: Sequence[float], order: int, time: Callable[[float], float]
) -> Tensor:
    """Slopes extrapolated as a polynomial in time and integrated over sigma; the last step follows the guess."""
    old: list[Tensor] = []
    for i, (s, t) in enumerate(pairwise(sigmas)):
        denoised = guess(x, s)
        old.append((x - denoised) / s)
        if t == 0:
            return denoised
        known = [sigmas[i - j] for j in range(min(order, i + 1))]
        for j, node in enumerate(known):

            def product(tau: float, node: float = node, known: list[float] = known) -> float:
                others = [each for each in known if each != node]
                return math.prod((time(tau) - time(each)) / (time(node) - time(each)) for each in others)

            x = x + old[i - j] * integrate.quad(product, s, t, epsabs=1e-13, epsrel=1e-13)[0]
    return x


def ipndm_v(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw) -> Tensor:
    return extrapolated(guess, x, sigmas, 4, lambda sigma: sigma)


def deis(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw) -> Tensor:
    """tAB-DEIS in the time t of a VP SDE: sigma(t)^2 + 1 = exp(beta_d t^2 / 2 + beta_min t), 0.002 at 1e-3, 80 at 1."""
    first, last = math.log(1 + 0.002**2), math.log(1 + 80**2)
    beta_d = 2 * (first / 1e-3 - last) / (1e-3 - 1)
    beta_min = last - 0.5 * beta_d

    def time(sigma: float) -> float:
        return (math.sqrt(beta_min**2 + 2 * beta_d * math.log(1 + sigma**2)) - beta_min) / beta_d

    return extrapolated(guess, x, sigmas, 3, time)


def ddpm(guess: Guess, x: Tensor, sigmas: Sequence[float], draw: Draw) -> Tensor:
    """Ho et al. 2020, algorithm 2 with the posterior's variance (eq. 7), in variance-preserving latents."""
    y = x * math.sqrt(kept(sigmas[0]))
    for s, t in pairwise(sigmas):
        whole, before = kept(s), kept(t)
        alpha = whole / before
        eps = (y - math.sqrt(whole) * guess(y / math.sqrt(whole), s)) / math.sqrt(1 - whole)
        y = (y - (1 - alpha) / math.sqrt(1 - whole) * eps) / math.sqrt(alpha)
        if t > 0:
            y = y + math.sqrt((1 - alpha) * (1 - before) / (1 - whole)) * draw()
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
    "DPM fast": dpm_fast,
    "DPM adaptive": dpm_adaptive,
    "Restart": restart,
    "DDIM CFG++": ddim_cfgpp,
    "HeunPP2": heunpp2,
    "IPNDM": ipndm,
    "IPNDM_V": ipndm_v,
    "DEIS": deis,
}
