"""Workers that die: nothing is lost, nothing is made twice, and a job that kills them is set aside."""

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from modules.events import Failed, Queued, Step
from modules.server.server import Server
from tests.fakes import ask
from tests.faults.looking import once_each, pictures_in
from tests.serving import running, until

pytestmark = pytest.mark.faults
STEPS = 4
SPARE = 10  # jobs at the end that no kill is planned for: one that came too late is made up for there


def kill(server: Server, worker: int = 0) -> None:
    """Kill a worker and wait for the one that takes its place."""
    gone = server.workers[worker].pid
    os.kill(gone, signal.SIGKILL)
    until(lambda: server.workers[worker].pid != gone)


def over(server: Server) -> bool:
    return not server.jobs.queue()


def kill_in(server: Server, jobs: int, times: int, chance: random.Random) -> set[str]:
    """Kill the worker `times` times, each at a step drawn at random of a job drawn at random; return which died.

    A job that has died once is left alone after that. A kill may come too late for its job: then it meets the next.
    """
    died: set[str] = set()
    seen: set[str] = set()
    after = kills = 0
    target, step = "", 0

    def look() -> bool:
        nonlocal after, kills, target, step
        for told in server.feed.since(after):
            after = told.seq
            event = told.event
            if isinstance(event, Queued) and event.attempts:
                died.add(told.job)
            if event.kind == "started" and told.job not in seen:
                seen.add(told.job)
                drawn = chance.random() < (times - kills) / max(1, jobs - SPARE - len(seen) + 1)
                target, step = (told.job, chance.randint(0, STEPS)) if drawn else ("", 0)
            reached = event.step if isinstance(event, Step) else 0
            if told.job == target and told.job not in died and event.kind in ("started", "step") and reached >= step:
                target = ""
                kills += 1
                kill(server)
                return False
        return kills == times or over(server)

    until(look, 600)
    assert kills == times
    return died


def test_fifty_pictures_with_twenty_kills(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    chance = random.Random()
    seed = chance.randrange(10**6)
    chance.seed(seed)
    record_property("chance", seed)
    with running(tmp_path, seconds=0.01) as server:
        for place in range(50):
            server.submit(ask(f"picture {place}", steps=STEPS))
        died = kill_in(server, 50, 20, chance)
        until(lambda: over(server), 120)
        once_each(tmp_path, server.jobs.recent(100), server.library.recent(1000))
        assert len(died) >= 10  # the others had written their picture when they died, and needed no second go


def test_a_job_of_many_pictures_goes_on_where_it_was(tmp_path: Path) -> None:
    with running(tmp_path, seconds=0.02) as server:
        id = server.submit(ask("many", steps=STEPS, batch_count=6, batch_size=2))
        for pictures in (3, 5, 8):  # more deaths than a job is allowed in a row: it goes on, so it is not at fault
            until(lambda least=pictures: len(server.library.of_job(id)) >= least)  # type: ignore[misc]
            kill(server)
        until(lambda: over(server))
        once_each(tmp_path, server.jobs.recent(), server.library.recent(100))
        seeds = [each.recipe.seed for each in server.library.of_job(id)]
        assert seeds == list(range(seeds[0], seeds[0] + 12))


def test_a_poison_job_is_set_aside_and_the_next_runs(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        poison = server.submit(ask("poison"))
        fine = server.submit(ask("fine", steps=2))
        until(lambda: over(server))
        job = server.jobs.get(poison)
        assert job is not None and (job.status, job.attempts) == ("set_aside", 2)
        assert job.error is not None and (job.error.key, job.error.values) == ("worker_lost", {"reason": "SIGKILL"})
        last = server.feed.since(0, poison)[-1].event
        assert isinstance(last, Failed) and last.set_aside
        done = server.jobs.get(fine)
        assert done is not None and done.status == "done"
        assert server.jobs.retry(poison)
        until(lambda: over(server))
        job = server.jobs.get(poison)
        assert job is not None and job.status == "set_aside"
        assert len(pictures_in(tmp_path)) == 1


def test_two_workers_share_one_queue(tmp_path: Path) -> None:
    with running(tmp_path, seconds=0.01, device="cpu,cpu") as server:
        until(lambda: all(each.stage == "ready" for each in server.workers))
        for place in range(30):
            server.submit(ask(f"picture {place}", steps=2, batch_count=1 + place % 2))
        until(lambda: len(server.library.recent(100)) > 10)
        kill(server, 1)
        until(lambda: over(server))
        once_each(tmp_path, server.jobs.recent(100), server.library.recent(100))
        starters = {told.event.worker for told in server.feed.since(0) if told.event.kind == "started"}
        assert starters == {"worker 1", "worker 2"}


def test_a_step_that_never_returns_is_killed_after_it_was_asked_to_stop(tmp_path: Path) -> None:
    with running(tmp_path) as server:  # the fake server's grace is two seconds
        hanging = server.submit(ask("hang"))
        fine = server.submit(ask("fine", steps=2))
        until(lambda: (server.workers[0].stage, server.workers[0].model) == ("loading", "starter"))
        assert server.jobs.interrupt(hanging)
        until(lambda: over(server))
        stopped, done = server.jobs.get(hanging), server.jobs.get(fine)
        assert stopped is not None and (stopped.status, stopped.attempts) == ("stopped", 1)
        assert done is not None and done.status == "done"
