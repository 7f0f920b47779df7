"""Progress and the time left of a running job, by its own pace once it has one."""

from modules.events import Loading, Started, Step
from modules.server.tracker import Tracker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def step(number: int) -> Step:
    return Step(image=0, batch=1, images=1, step=number, steps=10)


def test_time_left_first_as_learnt_then_by_its_own_pace() -> None:
    clock = Clock()
    tracker = Tracker(clock)
    assert tracker.progress("a", 30.0) is None
    tracker.tell("a", Started(worker="w", images=1))
    clock.now += 5
    progress = tracker.progress("a", 30.0)
    assert progress is not None and (progress.seconds_left, progress.stage) == (25.0, "starting")
    tracker.tell("a", Loading(model="m"))
    unknown = tracker.progress("a", None)
    assert unknown is not None and (unknown.seconds_left, unknown.stage) == (None, "loading")
    tracker.tell("a", step(1))
    clock.now += 8
    tracker.tell("a", step(5))
    progress = tracker.progress("a", 30.0)
    assert progress is not None and progress.seconds_left is not None
    assert abs(progress.seconds_left - 10.0) < 1e-9  # two seconds a step, five to go
    assert (progress.fraction, progress.stage) == (0.5, "sampling")
    tracker.forget("a")
    assert tracker.progress("a", 30.0) is None


def test_pictures_made_before_count() -> None:
    tracker = Tracker()
    tracker.tell("a", Started(worker="w", images=4, done=2))
    progress = tracker.progress("a", None)
    assert progress is not None and (progress.fraction, progress.image) == (0.5, 2)


def test_an_unknown_job_is_no_trouble() -> None:
    tracker = Tracker()
    tracker.tell("a", step(1))
    tracker.forget("a")
    assert tracker.progress("a", None) is None
