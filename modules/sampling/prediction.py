"""What a network was trained to say, and how that becomes the clean latent.

A noisy latent is `x = alpha(sigma) * x0 + sigma * noise`. On the diffusion path (SD 1, 2, XL) alpha is 1 everywhere
("variance exploding" coordinates); on the flow path (SD 3, Flux) it is 1 - sigma, so it is 0 at the first step.
Levels of noise are Python floats throughout; tensors meet them only as factors.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

# "Align Your Steps" (Sabour et al. 2024): noise levels found by optimisation, published for two networks.
ALIGNED_SD1 = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)
ALIGNED_SDXL = (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029)

ZERO_SNR = 4.8973451890853435e-08  # how much of the picture's variance is left where nothing should be


class Prediction(Protocol):
    """The noise levels a network knows, and the reading of its output."""

    @property
    def sigma_min(self) -> float:
        """The lowest level trained on."""
        ...

    @property
    def sigma_max(self) -> float:
        """The highest level trained on: where a picture starts as nothing but noise."""
        ...

    @property
    def levels(self) -> int:
        """How many levels were trained on."""
        ...

    @property
    def aligned(self) -> Sequence[float]:
        """Falling levels that suit this network best ("Align Your Steps"); any number of them, without the last 0."""
        ...

    def level(self, index: float) -> float:
        """Return the level at `index` (0 lowest .. levels - 1 highest, fractions in between)."""
        ...

    def alpha(self, sigma: float) -> float:
        """Return how much of the clean latent is left at `sigma`, 0..1."""
        ...

    def sigma_at(self, log_snr: float) -> float:
        """Return the sigma where log(alpha / sigma) is `log_snr`."""
        ...

    def timestep(self, sigma: float) -> float:
        """Return what the network is told for `sigma`: 0..999 on a table of 1000, 1000 * sigma on the flow path."""
        ...

    def sigma(self, timestep: float) -> float:
        """Return the sigma the network means by `timestep`: the inverse of `timestep`."""
        ...

    def scale(self, x: Tensor, sigma: float) -> Tensor:
        """Return the network's input for the noisy latent `x` (any shape)."""
        ...

    def denoised(self, x: Tensor, sigma: float, output: Tensor) -> Tensor:
        """Return the clean latent that the network's `output` for `x` means."""
        ...

    def noised(self, clean: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """Return `clean` brought to the level `sigma` with unit normal `noise`."""
        ...

    def start(self, noise: Tensor, sigma: float) -> Tensor:
        """Return the latent a picture without an initial image starts from."""
        ...


@dataclass(frozen=True)
class DiscreteTable:
    """The noise levels of a network trained on a table of betas (Ho et al. 2020); `sigmas` rise with the timestep."""

    sigmas: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.sigmas) < 2 or any(b <= a for a, b in pairwise(self.sigmas)):
            raise ValueError("a table needs at least two levels of noise, rising")
        if self.sigmas[0] <= 0 or not math.isfinite(self.sigmas[-1]):
            raise ValueError("the levels of a table must be positive and finite")

    @classmethod
    def of_betas(cls, betas: Sequence[float]) -> DiscreteTable:
        """Make the table of `betas`, one per timestep: sigma = sqrt((1 - a) / a), a the running product of 1 - beta."""
        kept, sigmas = 1.0, []
        for beta in betas:
            kept *= 1 - beta
            sigmas.append(math.sqrt((1 - kept) / kept))
        return cls(tuple(sigmas))

    @classmethod
    def scaled_linear(cls, first: float = 0.00085, last: float = 0.012, count: int = 1000) -> DiscreteTable:
        """Make Stable Diffusion's table: the square roots of the betas are evenly spaced."""
        a, b = math.sqrt(first), math.sqrt(last)
        return cls.of_betas([(a + (b - a) * i / (count - 1)) ** 2 for i in range(count)])

    @classmethod
    def linear(cls, first: float = 0.0001, last: float = 0.02, count: int = 1000) -> DiscreteTable:
        """Make the table of Ho et al.: evenly spaced betas."""
        return cls.of_betas([first + (last - first) * i / (count - 1) for i in range(count)])

    def to_zero_snr(self) -> DiscreteTable:
        """Return the table whose last level is nothing but noise.

        What is left of the picture falls to 0, from where it began (Lin et al. 2023, "Common Diffusion Noise Schedules
        and Sample Steps are Flawed", algorithm 1). The last level would be infinite: a next to nothing is left there.
        """
        kept = [1 / math.sqrt(1 + sigma * sigma) for sigma in self.sigmas]
        first, last = kept[0], kept[-1]
        squares = [((each - last) * first / (first - last)) ** 2 for each in kept]
        squares[-1] = ZERO_SNR
        return DiscreteTable(tuple(math.sqrt((1 - square) / square) for square in squares))

    def in_half(self) -> DiscreteTable:
        """Return the table worked out in half precision from what is kept of a picture, as A1111 did before 1.7.

        Raises `ValueError` where half precision cannot tell neighbours apart.
        """
        kept = np.array([1 / (1 + sigma * sigma) for sigma in self.sigmas]).astype(np.float16)
        return DiscreteTable(tuple(float(each) for each in np.sqrt((1 - kept) / kept)))

    def timestep(self, sigma: float) -> float:
        """Return the fractional timestep of `sigma`, linear in log sigma, held within the table."""
        if sigma <= self.sigmas[0]:
            return 0.0
        low = min(bisect_right(self.sigmas, sigma) - 1, len(self.sigmas) - 2)
        a, b = math.log(self.sigmas[low]), math.log(self.sigmas[low + 1])
        return low + min((math.log(sigma) - a) / (b - a), 1.0)

    def sigma(self, timestep: float) -> float:
        """Return the level at a fractional `timestep`, held within the table."""
        timestep = min(max(timestep, 0.0), len(self.sigmas) - 1.0)
        low = min(int(timestep), len(self.sigmas) - 2)
        part = timestep - low
        if part == 0.0:
            return self.sigmas[low]
        if part == 1.0:
            return self.sigmas[low + 1]
        return math.exp((1 - part) * math.log(self.sigmas[low]) + part * math.log(self.sigmas[low + 1]))


STABLE_DIFFUSION = DiscreteTable.scaled_linear()


@dataclass(frozen=True)
class _Diffusion:
    """What every network on the diffusion path shares: alpha is 1.

    One that is `quantized` is told whole timesteps only: the nearest one in log sigma (k-diffusion's `quantize`).
    """

    table: DiscreteTable = STABLE_DIFFUSION
    aligned: tuple[float, ...] = ALIGNED_SD1
    quantized: bool = False

    @property
    def sigma_min(self) -> float:
        return self.table.sigmas[0]

    @property
    def sigma_max(self) -> float:
        return self.table.sigmas[-1]

    @property
    def levels(self) -> int:
        return len(self.table.sigmas)

    def level(self, index: float) -> float:
        return self.table.sigma(index)

    def alpha(self, sigma: float) -> float:
        return 1.0

    def sigma_at(self, log_snr: float) -> float:
        return math.exp(-log_snr)

    def timestep(self, sigma: float) -> float:
        found = self.table.timestep(sigma)
        return float(math.ceil(found - 0.5)) if self.quantized else found

    def sigma(self, timestep: float) -> float:
        return self.table.sigma(timestep)

    def scale(self, x: Tensor, sigma: float) -> Tensor:
        return x / math.sqrt(1 + sigma * sigma)

    def noised(self, clean: Tensor, noise: Tensor, sigma: float) -> Tensor:
        return clean + noise * sigma

    def start(self, noise: Tensor, sigma: float) -> Tensor:
        return noise * sigma


@dataclass(frozen=True)
class Eps(_Diffusion):
    """The network says the noise that was added (Ho et al. 2020): SD 1, SD 2 base, SDXL."""

    def denoised(self, x: Tensor, sigma: float, output: Tensor) -> Tensor:
        """Return x - sigma * output."""
        return x - output * sigma


@dataclass(frozen=True)
class V(_Diffusion):
    """The network says the velocity v (Salimans and Ho 2022): SD 2 at 768 pixels."""

    def denoised(self, x: Tensor, sigma: float, output: Tensor) -> Tensor:
        """Return x / (sigma^2 + 1) - output * sigma / sqrt(sigma^2 + 1)."""
        total = sigma * sigma + 1
        return x / total - output * (sigma / math.sqrt(total))


def retabled(prediction: Prediction, zero_snr: bool = False, half: bool = False, quantized: bool = False) -> Prediction:
    """Return `prediction` on other noise levels: worked out in `half` precision, or ending in nothing but noise.

    A flow has no table, and one that ends in noise already, or cannot be told apart in half precision, stays as it is.
    With `quantized` its network is told of the levels on its table alone.
    """
    if not isinstance(prediction, _Diffusion):
        return prediction
    table = prediction.table
    if half:
        with suppress(ValueError):
            table = table.in_half()
    if zero_snr and table.sigmas[-1] < 1 / math.sqrt(2 * ZERO_SNR):
        table = table.to_zero_snr()
    return replace(prediction, table=table, quantized=quantized or prediction.quantized)


@dataclass(frozen=True)
class Flow:
    """The network says the velocity noise - x0 of a straight path (Lipman et al. 2022; Liu et al. 2022): SD 3, Flux.

    `shift` s moves the levels towards noise, for larger pictures (Esser et al. 2024, eq. 23):
    sigma = s t / (1 + (s - 1) t) for t = 1 / levels .. 1.
    """

    shift: float = 1.0
    levels: int = 1000
    aligned: tuple[float, ...] = (1.0, *(sigma / (1 + sigma) for sigma in ALIGNED_SD1[1:]))

    def __post_init__(self) -> None:
        if not self.shift > 0 or self.levels < 2:
            raise ValueError("a flow needs a positive shift and at least two levels")

    @property
    def sigma_min(self) -> float:
        """The lowest level: the shifted 1 / levels."""
        return self.level(0)

    @property
    def sigma_max(self) -> float:
        """1: nothing but noise."""
        return 1.0

    def level(self, index: float) -> float:
        """Return the shifted level at a fractional `index`, held within 0 .. levels - 1."""
        t = (min(max(index, 0.0), self.levels - 1.0) + 1) / self.levels
        return self.shift * t / (1 + (self.shift - 1) * t)

    def alpha(self, sigma: float) -> float:
        """Return 1 - sigma."""
        return 1.0 - sigma

    def sigma_at(self, log_snr: float) -> float:
        """Return 1 / (1 + exp(log_snr))."""
        if log_snr > 700:  # exp would overflow; the answer is below anything a schedule visits
            return math.exp(-log_snr)
        return 1 / (1 + math.exp(log_snr))

    def timestep(self, sigma: float) -> float:
        """Return 1000 * sigma."""
        return 1000 * sigma

    def sigma(self, timestep: float) -> float:
        """Return timestep / 1000."""
        return timestep / 1000

    def scale(self, x: Tensor, sigma: float) -> Tensor:
        """Return `x` as it is."""
        return x

    def denoised(self, x: Tensor, sigma: float, output: Tensor) -> Tensor:
        """Return x - sigma * output."""
        return x - output * sigma

    def noised(self, clean: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """Return (1 - sigma) * clean + sigma * noise."""
        return clean * (1.0 - sigma) + noise * sigma

    def start(self, noise: Tensor, sigma: float) -> Tensor:
        """Return noise * sigma."""
        return noise * sigma
