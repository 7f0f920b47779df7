"""Schedules: the published formulas, and how they are put to use."""

from __future__ import annotations

import numpy as np
import pytest

from modules.request import Sampling
from modules.sampling import schedules
from modules.sampling.aligned import ALIGNED_32, GITS
from modules.sampling.prediction import ALIGNED_SD1, ALIGNED_SDXL, Eps, Flow
from modules.sampling.sampler import Sampler
from modules.sampling.schedules import Schedule, Sigmas, sigmas_for
from tests.sampling.published_levels import TABLE, published

EPS = Eps()
RUN = Sampler("nothing", lambda denoise, x, sigmas, prediction, noise: x)
NAMES = [schedule.name for schedule in schedules.schedules()]
ENDS = {
    "karras",
    "exponential",
    "polyexponential",
    "sgm_uniform",
    "normal",
    "kl_optimal",
    "beta",
    "quadratic",
    "log_snr",
}


@pytest.mark.parametrize("n", [2, 7, 10, 20, 30, 50])
@pytest.mark.parametrize("schedule", schedules.schedules(), ids=NAMES)
def test_levels_are_the_published_ones(schedule: Schedule, n: int) -> None:
    np.testing.assert_allclose(schedule.sigmas(n, EPS), published(schedule.name, n), rtol=1e-9)


@pytest.mark.parametrize("n", [5, 10, 20, 25, 50])
def test_ddim_takes_its_timesteps_where_they_divide_a_thousand(n: int) -> None:
    timesteps = np.arange(0, 1000, 1000 // n)[::-1] + 1
    np.testing.assert_allclose(schedules.ddim(n, EPS), [*TABLE[timesteps], 0.0], rtol=1e-12)


@pytest.mark.parametrize("n", [2, 5, 10, 20, 29])
def test_ddim_takes_quadratic_timesteps_too(n: int) -> None:
    """As CompVis' `make_ddim_timesteps` has them; with more steps some of the first would be the same."""
    timesteps = (np.linspace(0, np.sqrt(1000 * 0.8), n) ** 2).astype(int)[::-1] + 1
    tuned = next(each for each in schedules.schedules() if each.name == "ddim").tuned(Sampling(ddim_discretize="quad"))
    np.testing.assert_allclose(tuned.sigmas(n, EPS), [*TABLE[timesteps], 0.0], rtol=1e-12)
    for many in (30, 100, 400, 500):
        assert sigmas_for(RUN, tuned, many, EPS)[0] == pytest.approx(TABLE[801])


def test_ddim_takes_the_number_of_steps_asked_for() -> None:
    assert len(schedules.ddim(30, EPS)) == 31  # the original takes 30 network calls here, and 19 for 20


def test_uniform_on_a_flow_is_even_before_the_shift() -> None:
    even = np.linspace(1, 0.001, 8)
    np.testing.assert_allclose(schedules.uniform(8, Flow(shift=3.0)), [*(3 * even / (1 + 2 * even)), 0.0], rtol=1e-9)


def test_eleven_aligned_steps_are_the_published_table() -> None:
    np.testing.assert_allclose(schedules.align_your_steps(11, EPS)[:-1], ALIGNED_SD1, rtol=1e-12)
    xl = Eps(aligned=ALIGNED_SDXL)
    np.testing.assert_allclose(schedules.align_your_steps(11, xl)[:-1], ALIGNED_SDXL, rtol=1e-12)


@pytest.mark.parametrize("finer", [schedules.align_your_steps_gits, schedules.align_your_steps_32])
def test_further_aligned_levels_are_those_of_the_network(finer: Sigmas) -> None:
    tables = GITS if finer is schedules.align_your_steps_gits else ALIGNED_32
    for aligned, wanted in tables.items():
        np.testing.assert_allclose(finer(len(wanted), Eps(aligned=aligned))[:-1], wanted, rtol=1e-12)
    table = np.array(tables[ALIGNED_SD1])
    np.testing.assert_allclose(finer(len(table), Flow())[1:-1], (table / (1 + table))[1:], rtol=1e-9)


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


@pytest.mark.parametrize("name", ["simple", "ddim", "turbo"])
def test_more_steps_than_levels_still_fall(name: str) -> None:
    schedule = Schedule(name, name, getattr(schedules, name))
    for n in (500, 501, 999, 1000, 1001, 3000):
        assert len(sigmas_for(RUN, schedule, n, EPS)) == n + 1


@pytest.mark.parametrize("schedule", schedules.schedules(), ids=NAMES)
def test_schedules_go_between_other_ends(schedule: Schedule) -> None:
    tuned = schedule.tuned(Sampling(sigma_min=0.1, sigma_max=10.0))
    if schedule.name in ENDS:
        np.testing.assert_allclose(tuned.sigmas(12, EPS), published(schedule.name, 12, 0.1, 10.0), rtol=1e-9)
    else:
        assert tuned is schedule


@pytest.mark.parametrize("schedule", schedules.schedules(), ids=NAMES)
def test_rho_says_how_the_levels_crowd(schedule: Schedule) -> None:
    tuned = schedule.tuned(Sampling(rho=3.0))
    if schedule.name in ("karras", "polyexponential"):
        np.testing.assert_allclose(tuned.sigmas(9, EPS), published(schedule.name, 9, rho=3.0), rtol=1e-9)
    else:
        assert tuned is schedule


@pytest.mark.parametrize(("alpha", "beta"), [(0.4, 0.6), (0.6, 1.0), (1.0, 1.0)])
@pytest.mark.parametrize("schedule", schedules.schedules(), ids=NAMES)
def test_beta_is_of_the_shape_asked_for(schedule: Schedule, alpha: float, beta: float) -> None:
    tuned = schedule.tuned(Sampling(beta_dist_alpha=alpha, beta_dist_beta=beta))
    if schedule.name == "beta":
        wanted = published("beta", 9, alpha=alpha, beta=beta)
        np.testing.assert_allclose(tuned.sigmas(9, EPS), wanted, rtol=1e-9)
    else:
        assert tuned is schedule


def test_a_flow_has_nothing_above_its_highest_level() -> None:
    for schedule in schedules.schedules():
        sigmas = schedule.tuned(Sampling(sigma_max=14.6)).sigmas(9, Flow())
        assert sigmas[0] <= 1.0 and len(sigmas) == 10


def test_any_sampler_can_leave_the_penultimate_level_out() -> None:
    tuned = RUN.tuned(Sampling(discard_penultimate=True))
    schedule = Schedule("karras", "Karras", schedules.karras)
    assert sigmas_for(tuned, schedule, 10, EPS) == [*schedules.karras(11, EPS)[:-2], 0.0]
