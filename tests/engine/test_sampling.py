"""Samplers with ways of their own, and the numbers of samplers and schedules, through the whole engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modules.engine.engine import Engine
from modules.errors import BadRequest, Cancelled
from modules.images import infotext
from modules.request import Sampling
from modules.result import Picture
from tests.engine.test_engine import digests, make
from tests.fakes import RecordingReport

SMALL: dict[str, Any] = {"sampler": "DPM adaptive", "width": 64, "height": 64, "cfg_scale": 1}  # it takes many steps


def pixels(picture: Picture) -> np.ndarray:
    return np.asarray(picture.image).astype(float)


def steps_told(engine: Engine, **values: Any) -> list[int]:
    report = RecordingReport()
    make(engine, report, **values)
    return [event.step for event in report.events if event.kind == "step"]


@pytest.mark.parametrize("steps", [5, 22])
def test_restart_tells_every_step_once_on_its_way_up_and_down(engine: Engine, steps: int) -> None:
    assert steps_told(engine, sampler="Restart", steps=steps) == [*range(1, steps + 1)]


@pytest.mark.parametrize("sampler", ["DPM fast", "DPM adaptive"])
def test_a_sampler_with_steps_of_its_own_tells_how_far_it_is(engine: Engine, sampler: str) -> None:
    told = steps_told(engine, sampler=sampler, steps=12)
    assert told == sorted(set(told)) and told[0] == 1 and 9 <= told[-1] <= 12 and len(told) > 4


def test_churned_steps_are_told_to_the_last(engine: Engine) -> None:
    for sampler in ("Euler", "Heun"):
        told = steps_told(engine, sampler=sampler, steps=8, schedule="Karras", sampling={"s_churn": 2})
        assert told == [*range(1, 9)]


def test_an_adaptive_sampler_sees_one_picture_at_a_time(engine: Engine) -> None:
    report = RecordingReport()
    together = make(engine, report, batch_size=2, **SMALL)
    assert {event.batch for event in report.events if event.kind == "step"} == {1}
    apart = [*make(engine, **SMALL), *make(engine, seed=8, **SMALL)]
    assert digests(together) == digests(apart)


def test_an_adaptive_sampler_can_be_stopped(engine: Engine) -> None:
    report = RecordingReport("go", "go", "go", "go", "stop")
    with pytest.raises(Cancelled):
        make(engine, report, **SMALL)


def test_an_adaptive_sampler_takes_as_many_steps_whatever_number_is_asked_for(engine: Engine) -> None:
    """It begins where the schedule does, which is the same level here."""
    few, many = (make(engine, steps=steps, **SMALL)[0] for steps in (3, 30))
    assert digests([few]) == digests([many])


def test_cfg_plus_plus_at_its_full_scale_and_in_one_step_is_the_prompts_own_guess(engine: Engine) -> None:
    (plus,) = make(engine, sampler="DDIM CFG++", steps=1, cfg_scale=12.5, negative_prompt="blue")
    (plain,) = make(engine, sampler="DDIM", steps=1, cfg_scale=1)
    assert np.abs(pixels(plus) - pixels(plain)).max() <= 1, "rounding apart"


def test_cfg_plus_plus_contrasts_at_every_scale(engine: Engine) -> None:
    """A guidance of 1 is none for other samplers; here it is a small one."""
    seen = {
        sampler: {digests(make(engine, sampler=sampler, cfg_scale=1, negative_prompt=each))[0] for each in ("", "blue")}
        for sampler in ("DDIM CFG++", "DDIM")
    }
    assert [len(each) for each in seen.values()] == [2, 1]


@pytest.mark.parametrize(
    ("asked", "values"),
    [
        ({"eta": 0.5}, {"sampler": "Euler a"}),
        ({"eta_ddim": 0.5}, {"sampler": "DDIM"}),
        ({"s_churn": 5}, {"sampler": "Heun"}),
        ({"s_noise": 0.9}, {"sampler": "DPM++ 2M SDE"}),
        ({"sigma_min": 0.5}, {"schedule": "Karras"}),
        ({"sigma_max": 10}, {"schedule": "Exponential"}),
        ({"rho": 3}, {"schedule": "Karras"}),
        ({"beta_dist_alpha": 0.3}, {"schedule": "Beta"}),
        ({"beta_dist_beta": 0.9}, {"schedule": "Beta"}),
        ({"quantize": True}, {"schedule": "Karras"}),
        ({"ddim_discretize": "quad"}, {"sampler": "DDIM"}),
        ({"uni_pc_variant": "bh2"}, {"sampler": "UniPC"}),
        ({"uni_pc_skip_type": "logSNR"}, {"sampler": "UniPC"}),
        ({"uni_pc_order": 1}, {"sampler": "UniPC", "steps": 4}),
        ({"uni_pc_lower_order_final": False}, {"sampler": "UniPC", "steps": 4}),
        ({"discard_penultimate": True}, {}),
        ({"sgm_noise_multiplier": True}, {}),
        ({"extra_noise": 0.2}, {"hires": {"scale": 1.5}}),
    ],
)
def test_each_number_changes_the_picture_and_is_written_down(
    engine: Engine, asked: dict[str, Any], values: dict[str, Any]
) -> None:
    (plain,), (changed,) = make(engine, **values), make(engine, sampling=asked, **values)
    assert digests([plain]) != digests([changed])
    assert plain.recipe.sampling is None and changed.recipe.sampling == Sampling(**asked)
    (name,) = asked
    assert f"{infotext.SAMPLING[name]}: " in infotext.write(changed.recipe)


@pytest.mark.parametrize(
    ("asked", "values"),
    [
        ({"eta": 0.5, "eta_ddim": 0.5, "s_churn": 5, "s_noise": 0.9, "rho": 3}, {"schedule": "Exponential"}),
        ({"sigma_min": 0.5, "sigma_max": 10, "rho": 3}, {"schedule": "Uniform"}),
        ({"beta_dist_alpha": 0.3, "beta_dist_beta": 0.9}, {"schedule": "Karras"}),
        ({"discard_penultimate": True, "s_churn": 5}, {"sampler": "DPM2 a"}),
        ({"eta_ddim": 0.5}, {"sampler": "Euler a"}),
        ({"extra_noise": 0.5}, {}),
        ({"uni_pc_skip_type": "logSNR"}, {"sampler": "UniPC", "schedule": "Karras"}),
        ({"uni_pc_variant": "bh2", "uni_pc_skip_type": "logSNR"}, {"sampler": "DDIM"}),
    ],
)
def test_what_a_sampler_or_schedule_does_not_know_changes_nothing_and_is_not_written_down(
    engine: Engine, asked: dict[str, Any], values: dict[str, Any]
) -> None:
    (plain,), (same,) = make(engine, **values), make(engine, sampling=asked, **values)
    assert digests([plain]) == digests([same])
    assert same.recipe.sampling is None


def test_a_spacing_that_the_sampler_chose_is_written_down_with_its_schedule(engine: Engine) -> None:
    """So the picture comes again from what is written, and other tools, whose UniPC takes no schedule, read it too."""
    (made,) = make(engine, sampler="UniPC", sampling={"uni_pc_skip_type": "time_quadratic"})
    assert "Schedule type: Quadratic, " in infotext.write(made.recipe)
    asked: dict[str, Any] = {"schedule": made.recipe.schedule, "sampling": {"uni_pc_skip_type": "time_quadratic"}}
    (again,) = make(engine, sampler="UniPC", **asked)
    assert digests([again]) == digests([made]) and again.recipe.sampling == made.recipe.sampling


def test_what_counts_in_the_second_pass_alone_is_written_down_too(engine: Engine) -> None:
    hires = {"sampler": "Euler a", "scale": 1.5}
    plain, less = (make(engine, hires=hires, sampling={"eta": eta})[0] for eta in (1, 0.2))
    assert digests([plain]) != digests([less])
    assert less.recipe.sampling == Sampling(eta=0.2)


@pytest.mark.parametrize("asked", [{"sigma_min": 15}, {"sigma_max": 0.01}, {"sigma_min": 5, "sigma_max": 5}])
def test_ends_that_are_no_ends_are_refused_in_words(engine: Engine, asked: dict[str, float]) -> None:
    with pytest.raises(BadRequest, match="must be below the highest"):
        make(engine, schedule="Karras", sampling=asked)


@pytest.mark.parametrize(
    ("schedule", "asked"),
    [
        ("Karras", {"rho": 1e-3}),
        ("Polyexponential", {"rho": 100.0}),
        ("Beta", {"beta_dist_alpha": 0.01, "beta_dist_beta": 0.01}),
    ],
)
def test_levels_that_no_number_can_tell_apart_are_refused_in_words(
    engine: Engine, schedule: str, asked: dict[str, float]
) -> None:
    with pytest.raises(BadRequest, match=f"The schedule type {schedule} has no"):
        make(engine, schedule=schedule, steps=10, sampling=asked)
