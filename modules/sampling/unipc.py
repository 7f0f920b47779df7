"""UniPC: a predictor and a corrector that share the network's calls (Zhao et al. 2023, algorithms 5 to 8, B1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, Sampler, StepNoise
from modules.sampling.steps import Level, advance, pairs

if TYPE_CHECKING:
    from torch import Tensor


History = list[tuple[Level, "Tensor"]]  # (level, guess there), newest first


def unipc(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    prediction: Prediction,
    noise: StepNoise,
    uni_pc_order: int = 3,
    uni_pc_variant: str = "bh1",
    uni_pc_lower_order_final: bool = True,
) -> Tensor:
    """Correct each step with the guess found at its end, then predict the next one; order 1, 2, 3 .. 3, 2, 1.

    The order falls again at the end unless `uni_pc_lower_order_final` is off. `uni_pc_variant` is what a single guess
    besides the newest is weighed by: half of B(h), which the paper's B1 ("bh1") has as h and its B2 ("bh2") as
    exp(h) - 1, here with the sign of data prediction; or what is exact for a straight line ("vary_coeff"). For more of
    them all three solve the same equations.

    The step from nothing but noise (the start of a flow) is exact in first order, is not corrected, and is left out
    of the history; so is the step to no noise at all.
    """
    steps = len(sigmas) - 1
    history: History = []
    before: Tensor | None = None  # x at the beginning of the step that is still to be corrected
    rank = 1
    for i, (here, there) in enumerate(pairs(prediction, sigmas)):
        denoised = denoise(x, here.sigma)
        if before is not None:
            x = _step(before, history[:rank], here, uni_pc_variant, denoised)
        if here.alpha == 0:
            x = advance(x, denoised, here, there)
            continue
        history = [(here, denoised), *history[: uni_pc_order - 1]]
        rank = min(len(history), steps - i) if uni_pc_lower_order_final else len(history)
        before = x
        x = _step(x, history[:rank], there, uni_pc_variant)
    return x


def _step(x: Tensor, history: History, there: Level, variant: str, ahead: Tensor | None = None) -> Tensor:
    """Step from the newest level of `history` to `there`; with the guess `ahead` found there it is the corrector.

    Solves equation 9 of the paper: the weights make the step exact for guesses that are polynomials in log-SNR.
    """
    here, denoised = history[0]
    base = advance(x, denoised, here, there)
    if there.sigma == 0:
        return base
    h = there.log_snr - here.log_snr
    nodes = [(each.log_snr - here.log_snr) / h for each, _ in history[1:]]
    changes = [(guess - denoised) / node for (_, guess), node in zip(history[1:], nodes, strict=True)]
    if ahead is not None:
        nodes.append(1.0)
        changes.append(ahead - denoised)
    if len(nodes) == 1 and variant != "vary_coeff":
        # The paper fixes the weight of a single node at 1/2, which keeps second order without solving anything.
        weights = [0.5 * (-math.expm1(-h) if variant == "bh2" else h)]
    else:
        weights = [h * weight for weight in _solve(nodes, h)]
    for change, weight in zip(changes, weights, strict=True):
        base = base + change * (there.alpha * weight)
    return base


def _solve(nodes: Sequence[float], h: float) -> list[float]:
    """Return the weights a with sum(a_m * nodes_m^k) = k-th moment of phi(-h) / B(h), B(h) = -h, for k = 0, 1, ..."""
    size = len(nodes)
    rows: list[list[float]] = []
    phi, factorial = math.expm1(-h) / -h - 1, 1.0
    for k in range(size):
        rows.append([*(node**k for node in nodes), phi * factorial / -h])
        factorial *= k + 2
        phi = phi / -h - 1 / factorial
    for k in range(size):  # Gauss and Jordan, with the largest pivot
        pivot = max(range(k, size), key=lambda row: abs(rows[row][k]))
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [value / rows[k][k] for value in rows[k]]
        for other in range(size):
            if other != k:
                factor = rows[other][k]
                rows[other] = [value - factor * own for value, own in zip(rows[other], rows[k], strict=True)]
    return [row[-1] for row in rows]


@hookimpl
def samplers() -> list[Sampler]:
    """Offer UniPC; "Automatic" is the even spacing of time from the top that its authors use, or another of theirs."""
    own = frozenset({"uni_pc_order", "uni_pc_variant", "uni_pc_lower_order_final"})
    spacings = {"time_quadratic": "Quadratic", "logSNR": "Log SNR"}
    return [
        Sampler(
            "UniPC",
            unipc,
            ("unipc",),
            "SGM Uniform",
            takes=own,
            spaced_by="uni_pc_skip_type",
            spacings=spacings,
        )
    ]
