"""How far samplers are from the published algorithms, under every schedule type.

Both sides get the same denoiser, initial noise and step noise. Ours runs in float32, as for a picture; the algorithms
are written out in float64, and so are the schedules. The figure is |ours - theirs| / |theirs| of the final latents.
"""

from __future__ import annotations

import torch

from modules.request import Sampling
from modules.sampling.sampler import Sampler
from modules.sampling.schedules import Schedule, sigmas_for
from tests.benchmarks._table import say
from tests.sampling.published import REFERENCES, Recorded, Toy
from tests.sampling.published_levels import published
from tests.sampling.test_reference import PREDICTION, apart, sampled, start
from tests.test_variants import SAMPLERS, SCHEDULES

STEPS = 20
MOST = 1e-5
# Each with what of it the sampler takes.
NUMBERS = {
    "As usual": Sampling(),
    "With numbers of their own": Sampling(eta=0.6, eta_ddim=0.6, s_churn=6.0, s_tmin=0.1, s_tmax=9.0, s_noise=1.01),
    "UniPC's B2, second order": Sampling(uni_pc_variant="bh2", uni_pc_order=2),
    "UniPC with varying coefficients, to the end": Sampling(
        uni_pc_variant="vary_coeff", uni_pc_lower_order_final=False
    ),
}


def published_levels(sampler: Sampler, schedule: Schedule) -> list[float]:
    """The levels of the schedule as published; some samplers leave the last but one out."""
    if not sampler.discard_penultimate:
        return published(schedule.name, STEPS)
    longer = published(schedule.name, STEPS + 1)
    return [*longer[:-2], longer[-1]]


def error(sampler: Sampler, schedule: Schedule, asked: Sampling) -> float:
    """The relative error of one sampler under one schedule."""
    own = {name: value for name, value in asked.numbers.items() if name in sampler.takes}
    levels = published_levels(sampler, schedule)
    x = start(sampler, levels[0])
    theirs = REFERENCES[sampler.name](Toy(torch.float64), x, levels, Recorded(torch.float64, len(x)), **own)
    ours = sampled(sampler.tuned(asked), sigmas_for(sampler, schedule, STEPS, PREDICTION), torch.float32)
    return apart(ours, theirs)


def main() -> None:
    torch.set_num_threads(1)
    worst = 0.0
    for what, asked in NUMBERS.items():
        lines = [f"### {what}: {STEPS} steps of {len(SCHEDULES)} schedule types", ""]
        lines += ["| | " + " | ".join(SCHEDULES) + " |", "|---" * (len(SCHEDULES) + 1) + "|"]
        for name, sampler in SAMPLERS.items():
            if asked.numbers and not asked.numbers.keys() & sampler.takes:
                continue
            errors = [error(sampler, schedule, asked) for schedule in SCHEDULES.values()]
            worst = max(worst, *errors)
            lines.append(f"| {name} | " + " | ".join(f"{each:.1e}" for each in errors) + " |")
        say("\n".join([*lines, ""]))
    verdict = "ok" if worst <= MOST else "**above**"
    say(f"Worst: {worst:.1e}, at most {MOST:.0e} ({verdict}).")


if __name__ == "__main__":
    main()
