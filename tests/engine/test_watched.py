from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from modules.engine.job import Job
from modules.engine.timeline import step_of
from modules.engine.watched import watched
from modules.families.family import LatentFormat
from modules.request import Shot, make_request
from modules.sampling.euler import euler
from modules.sampling.sampler import Sampler
from modules.sampling.schedules import Schedule
from tests.fakes import RecordingReport

LIKE = LatentFormat(4, 8, 1.0, 0.0, ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)))
SIGMAS = [10.0, 5.0, 1.0, 0.5, 0.0]


def job(pictures: int = 1) -> Job:
    shots = [Shot(index=3 + i, prompt="", negative_prompt="", seed=i) for i in range(pictures)]
    return Job(
        make_request({}), shots, 9, Sampler("Euler", euler), Schedule("karras", "Karras", lambda n, p: SIGMAS), 64, 64
    )


def step(x: Tensor, sigma: float) -> Tensor:
    return x


def run(
    visits: list[float], every: int = 1, pictures: int = 1, seconds: float = 1.0
) -> tuple[list[int], RecordingReport]:
    report = RecordingReport()
    times = iter(range(10_000))
    ring = watched(step, job(pictures), SIGMAS, LIKE, report, every, clock=lambda: next(times) * seconds)
    for sigma in visits:
        ring(torch.zeros(pictures, 4, 8, 8), sigma)
    return [event.step for event in report.events if event.kind == "step"], report


def test_a_step_is_told_when_its_level_was_visited() -> None:
    steps, report = run(SIGMAS[:-1])
    assert steps == [1, 2, 3, 4]
    told: Any = report.events[0]
    assert (told.image, told.batch, told.images, told.steps) == (3, 1, 9, 4)


@pytest.mark.parametrize(
    "visits",
    [
        [10, 5, 5, 1, 1, 0.5, 0.5],  # Heun
        [10, 7, 5, 2, 1, 0.7, 0.5, 0.1],  # levels in between
        [10 * (1 + 1e-9), 5 * (1 - 1e-9), 1 + 1e-9, 0.5],  # levels worked out again
    ],
)
def test_each_step_is_told_once(visits: list[float]) -> None:
    assert run(visits)[0] == [1, 2, 3, 4]


def test_previews_come_every_so_many_steps_for_every_picture() -> None:
    def images(every: int) -> list[int]:
        return [event.image for event in run(SIGMAS[:-1], every, pictures=2)[1].events if event.kind == "preview"]

    assert images(1) == [3, 4] * 4
    assert images(2) == [3, 4] * 2
    assert images(0) == []


def test_previews_are_no_more_than_can_be_seen() -> None:
    quick = run(SIGMAS[:-1], seconds=0.0)[1]
    assert quick.kinds().count("preview") == 1
    assert quick.kinds().count("step") == 4


def test_a_run_that_goes_up_again_is_told_in_order_and_may_begin_anew() -> None:
    place = step_of([10.0, 5.0, 1.0, 4.0, 2.0, 0.5, 0.0])
    visits = [10, 5, 5, 1, 1, 0.5, 4, 2, 2, 0.5, 0.5]  # Heun's, back up from 0.5 to 4
    for _ in range(2):  # as where tiles are made one after another
        assert [place(sigma) for sigma in visits] == [1, 2, 2, 3, 3, 3, 4, 5, 5, 6, 6]
