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
GITS = np.array([14.615, 4.617, 2.507, 1.236, 0.702, 0.402, 0.240, 0.156, 0.104, 0.094, 0.029])
FINE = np.array(
    [
        *(14.615, 11.23951352, 8.64363081, 6.64729424, 5.57250862, 4.71648546, 3.99196065, 3.5195609, 3.13490466),
        *(2.79228788, 2.48773628, 2.21663865, 1.97508351, 1.7793172, 1.61475335, 1.46540953, 1.314849, 1.16642497),
        *(1.03475547, 0.91573744, 0.80748169, 0.71202361, 0.621739, 0.53065202, 0.4529096, 0.37491455, 0.27461819),
        *(0.2011529, 0.14105873, 0.06682881, 0.03166121, 0.015),
    ]
)


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
        "align_your_steps_GITS": np.exp(np.interp(ramp, np.linspace(0, 1, 11), np.log(GITS))),
        "align_your_steps_32": np.exp(np.interp(ramp, np.linspace(0, 1, 32), np.log(FINE))),
        "turbo": TABLE[np.round(np.arange(1, n + 1) * (1000 / n) - 1).astype(int)[::-1]],
        "align_your_steps": np.exp(np.interp(ramp, np.linspace(0, 1, 11), np.log(ALIGNED))),
    }
    return [*every[name].tolist(), 0.0]
