"""The published schedules, written out in numpy for Stable Diffusion's table of noise levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Levels = NDArray[np.float64]

KEPT = np.cumprod(1 - np.linspace(np.sqrt(0.00085), np.sqrt(0.012), 1000) ** 2)
TABLE: Levels = np.sqrt((1 - KEPT) / KEPT)
LOW, HIGH = float(TABLE[0]), float(TABLE[-1])
ALIGNED = np.array([14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029])


def at(timesteps: Levels) -> Levels:
    """The levels at fractional timesteps."""
    return np.asarray(np.exp(np.interp(timesteps, np.arange(1000), np.log(TABLE))))


def when(sigma: float) -> float:
    """The fractional timestep of a level."""
    return float(np.interp(np.log(sigma), np.log(TABLE), np.arange(1000)))


def published(
    name: str,
    n: int,
    low: float = LOW,
    high: float = HIGH,
    rho: float | None = None,
    alpha: float = 0.6,
    beta: float = 0.6,
) -> list[float]:
    """The n levels of a schedule between these ends, and 0."""
    ramp, rest = np.linspace(0, 1, n), np.arange(n) / n
    top, bottom = when(high), when(low)
    bend = rho or (7.0 if name == "karras" else 1.0)
    a, b = high ** (1 / bend), low ** (1 / bend)
    root = np.linspace(np.sqrt((top + 1) / 1000), np.sqrt((bottom + 1) / 1000), n + 1)[:-1]
    every: dict[str, Levels] = {
        "uniform": at(np.linspace(999, 0, n)),
        "normal": at(np.linspace(top, bottom, n)),
        "sgm_uniform": at(np.linspace(top, bottom, n + 1)[:-1]),
        "simple": np.array([TABLE[-(1 + int(i * 1000 / n))] for i in range(n)]),
        "ddim": np.array([TABLE[1 + int(i * 1000 / n)] for i in reversed(range(n))]),  # n divides 1000
        "karras": (a + ramp * (b - a)) ** bend,
        "exponential": np.exp(np.linspace(np.log(high), np.log(low), n)),
        "polyexponential": np.exp((1 - ramp) ** bend * (np.log(high) - np.log(low)) + np.log(low)),
        "kl_optimal": np.tan(rest * np.arctan(low) + (1 - rest) * np.arctan(high)),
        "beta": low + stats.beta.ppf(1 - ramp, alpha, beta) * (high - low),
        "quadratic": at(1000 * root**2 - 1),
        "log_snr": np.exp(-np.linspace(-np.log(high), -np.log(low), n + 1)[:-1]),
        "align_your_steps": np.exp(np.interp(ramp, np.linspace(0, 1, 11), np.log(ALIGNED))),
    }
    return [*every[name].tolist(), 0.0]
