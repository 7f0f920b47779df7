"""How far the running jobs are and how long they still take, from their own steps and from past jobs."""

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from modules.events import Event, Loading, PictureDone, Started, Step
from modules.library.records import JobRecord
from modules.server.views import Progress
from modules.tasks import EXTRAS_MODEL

_PAST = 15  # jobs to learn from


@dataclass(frozen=True)
class _Run:
    progress: Progress
    since: float  # when it started
    first: tuple[float, float] | None = None  # time and fraction at its first step


class Tracker:
    """Keeps the progress of running jobs, in memory: it is told every event, and forgets a job that is over."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}

    def tell(self, job: str, event: Event) -> None:
        """Note what `event` says about the progress of `job`."""
        now = self._clock()
        with self._lock:
            if isinstance(event, Started):
                done = event.done / event.images if event.images else 0.0
                progress = Progress(event.done, event.images, fraction=done, stage="starting")
                self._runs[job] = _Run(progress, now)
                return
            run = self._runs.get(job)
            if run is None:
                return
            progress = run.progress
            if isinstance(event, Loading):
                progress = replace(progress, stage="loading")
            elif isinstance(event, Step):
                fraction = (event.image + event.batch * event.step / event.steps) / event.images
                last = event.step >= event.steps
                progress = Progress(
                    event.image, event.images, event.step, event.steps, fraction, "saving" if last else "sampling"
                )
                if run.first is None:
                    run = replace(run, first=(now, fraction))
            elif isinstance(event, PictureDone):
                finished = max(progress.image, event.image + 1)
                progress = replace(
                    progress, image=finished, fraction=max(progress.fraction, finished / max(progress.images, 1))
                )
            self._runs[job] = replace(run, progress=progress)

    def forget(self, job: str) -> None:
        """Drop what is known about `job`."""
        with self._lock:
            self._runs.pop(job, None)

    def progress(self, job: str, expected: float | None) -> Progress | None:
        """Return the progress of a running job; `expected` is how many seconds all of it should take, if known."""
        with self._lock:
            run = self._runs.get(job)
        if run is None:
            return None
        now = self._clock()
        left = None if expected is None else max(0.0, expected - (now - run.since))
        if run.first is not None and run.progress.fraction > run.first[1]:
            pace = (now - run.first[0]) / (run.progress.fraction - run.first[1])
            left = pace * (1 - run.progress.fraction)
        return replace(run.progress, seconds_left=left)


def learnt_rate(session: Session, model: str) -> float | None:
    """Return the usual seconds per unit of work (pixel x step x image): of `model`, else of any, else None.

    What is learnt from making pictures says nothing about enlarging them, nor the other way round.
    """
    past = select(JobRecord.rate).where(JobRecord.rate.is_not(None)).order_by(JobRecord.finished.desc()).limit(_PAST)
    enlarging = JobRecord.model.startswith(EXTRAS_MODEL)
    others = past.where(enlarging if model.startswith(EXTRAS_MODEL) else ~enlarging)
    for query in (past.where(JobRecord.model == model), others):
        rates = [rate for rate in session.scalars(query) if rate is not None]
        if rates:
            return statistics.median(rates)
    return None
