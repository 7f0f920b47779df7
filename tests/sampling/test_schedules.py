"""Schedules: the published formulas, in numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from modules.sampling import schedules
from modules.sampling.prediction import ALIGNED_SD1, ALIGNED_SDXL, Eps, Flow
from modules.sampling.sampler import Sampler
from modules.sampling.schedules import Schedule, sigmas_for

Levels = NDArray[np.float64]

EPS = Eps()
TABLE = np.array(EPS.table.sigmas)
LOW, HIGH = EPS.sigma_min, EPS.sigma_max
RUN = Sampler("nothing", lambda denoise, x, sigmas, prediction, noise: x)


def at(timesteps: Levels) -> Levels:
    return np.asarray(np.exp(np.interp(timesteps, np.arange(1000), np.log(TABLE))))


def karras(n: int) -> Levels:
    high, low = HIGH ** (1 / 7), LOW ** (1 / 7)
    return np.asarray((high + np.linspace(0, 1, n) * (low - high)) ** 7)


def kl_optimal(n: int) -> Levels:
    i = np.arange(n + 1)
    return np.asarray(np.tan(i / n * np.arctan(LOW) + (1 - i / n) * np.arctan(HIGH)))[:-1]


PUBLISHED: dict[str, Callable[[int], Levels]] = {
    "uniform": lambda n: at(np.linspace(999, 0, n)),
    "sgm_uniform": lambda n: at(np.linspace(999, 0, n + 1)[:-1]),
    "simple": lambda n: np.array([TABLE[-(1 + int(i * 1000 / n))] for i in range(n)]),
    "karras": karras,
    "exponential": lambda n: np.exp(np.linspace(np.log(HIGH), np.log(LOW), n)),
    "polyexponential": lambda n: np.exp(np.linspace(np.log(HIGH), np.log(LOW), n)),
    "kl_optimal": kl_optimal,
    "beta": lambda n: LOW + stats.beta.ppf(1 - np.linspace(0, 1, n), 0.6, 0.6) * (HIGH - LOW),
    "align_your_steps": lambda n: np.exp(
        np.interp(np.linspace(0, 1, n), np.linspace(0, 1, 11), np.log(np.array(ALIGNED_SD1)))
    ),
}


@pytest.mark.parametrize("n", [2, 7, 10, 20, 30, 50])
@pytest.mark.parametrize("name", PUBLISHED)
def test_levels_are_the_published_ones(name: str, n: int) -> None:
    np.testing.assert_allclose(getattr(schedules, name)(n, EPS), [*PUBLISHED[name](n), 0.0], rtol=1e-9)


@pytest.mark.parametrize("n", [5, 10, 20, 25, 50])
def test_ddim_takes_its_timesteps_where_they_divide_a_thousand(n: int) -> None:
    timesteps = np.arange(0, 1000, 1000 // n)[::-1] + 1
    np.testing.assert_allclose(schedules.ddim(n, EPS), [*TABLE[timesteps], 0.0], rtol=1e-12)


def test_ddim_takes_the_number_of_steps_asked_for() -> None:
    assert len(schedules.ddim(30, EPS)) == 31  # the original takes 30 network calls here, and 19 for 20


def test_uniform_on_a_flow_is_even_before_the_shift() -> None:
    even = np.linspace(1, 0.001, 8)
    np.testing.assert_allclose(schedules.uniform(8, Flow(shift=3.0)), [*(3 * even / (1 + 2 * even)), 0.0], rtol=1e-9)


def test_eleven_aligned_steps_are_the_published_table() -> None:
    np.testing.assert_allclose(schedules.align_your_steps(11, EPS)[:-1], ALIGNED_SD1, rtol=1e-12)
    xl = Eps(aligned=ALIGNED_SDXL)
    np.testing.assert_allclose(schedules.align_your_steps(11, xl)[:-1], ALIGNED_SDXL, rtol=1e-12)


def test_a_flow_starts_at_exactly_one() -> None:
    for schedule in schedules.schedules():
        if schedule.name != "ddim":  # whose timesteps never include the last
            assert schedule.sigmas(9, Flow(shift=3.0))[0] == 1.0


def test_the_penultimate_level_can_be_left_out() -> None:
    sampler = Sampler("nothing", RUN.run, discard_penultimate=True)
    schedule = Schedule("karras", "Karras", schedules.karras)
    longer = schedules.karras(11, EPS)
    assert sigmas_for(sampler, schedule, 10, EPS) == [*longer[:-2], 0.0]
    assert sigmas_for(RUN, schedule, 10, EPS) == schedules.karras(10, EPS)


def test_a_schedule_without_enough_levels_says_so() -> None:
    def stuck(n: int, prediction: object) -> list[float]:
        return [*([1.0] * n), 0.0]

    with pytest.raises(ValueError, match="Stuck has no 5 falling levels"):
        sigmas_for(RUN, Schedule("stuck", "Stuck", stuck), 5, EPS)
    with pytest.raises(ValueError, match="at least one step"):
        sigmas_for(RUN, Schedule("uniform", "Uniform", schedules.uniform), 0, EPS)


@pytest.mark.parametrize("name", ["simple", "ddim"])
def test_more_steps_than_levels_still_fall(name: str) -> None:
    schedule = Schedule(name, name, getattr(schedules, name))
    for n in (500, 501, 999, 1000, 1001, 3000):
        assert len(sigmas_for(RUN, schedule, n, EPS)) == n + 1
