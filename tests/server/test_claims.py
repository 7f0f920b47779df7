"""The workers' side of the queue: leases, deaths, and pictures that are on record once."""

import time
from dataclasses import replace
from pathlib import Path

from PIL import Image

from modules.events import Failed
from modules.request import Request
from modules.result import Picture
from modules.server.claims import Taken
from tests.fakes import ask, fake_recipe
from tests.server.conftest import Queue, make_queue


def add(queue: Queue, **values: object) -> str:
    return queue.jobs.add(ask("a", **{"seed": 5, **values}), "anna")


def take(queue: Queue, worker: str) -> Taken:
    taken = queue.claims.take(worker, worker)
    assert taken is not None
    return taken


def make(queue: Queue, taken: Taken, index: int = 0) -> tuple[Path, object]:
    """Write a picture of the job, without telling anybody."""
    assert isinstance(taken.task, Request)
    recipe = fake_recipe(taken.task, taken.task.shots()[index], taken.id)
    return queue.files.save(Picture(Image.new("RGB", (8, 8)), recipe)), recipe


def hand_in(queue: Queue, worker: str, taken: Taken, index: int = 0) -> Path:
    path, recipe = make(queue, taken, index)
    queue.claims.hand_in(worker, taken, path, recipe, "text", (8, 8))  # type: ignore[arg-type]
    return path


def status(queue: Queue, id: str) -> tuple[str, int]:
    job = queue.jobs.get(id)
    assert job is not None
    return job.status, job.attempts


def test_a_job_is_done_with_its_pictures(queue: Queue) -> None:
    id = add(queue, batch_count=2)
    taken = take(queue, "w")
    paths = [hand_in(queue, "w", taken, index).resolve() for index in (0, 1)]
    queue.claims.finish("w", taken, 2)
    job = queue.jobs.get(id)
    assert job is not None and [each.path for each in job.pictures] == paths
    assert (job.status, job.progress.fraction, job.pictures[1].recipe.seed) == ("done", 1.0, 6)
    assert [each.event.kind for each in queue.feed.since(0)] == ["queued", "started", "picture", "picture", "done"]


def test_a_lease_that_runs_out_gives_the_job_back(tmp_path: Path) -> None:
    queue = make_queue(tmp_path, lease_seconds=0.15)
    id = add(queue)
    ghost = take(queue, "ghost")
    time.sleep(0.1)
    assert queue.claims.renew("ghost", id)
    time.sleep(0.1)
    assert queue.claims.expire([]) == 0
    time.sleep(0.1)
    assert queue.claims.expire(["ghost"]) == 0  # lives, it only was not heard: a laptop that slept
    assert queue.claims.expire([]) == 1
    assert status(queue, id) == ("queued", 1)
    assert not queue.claims.renew("ghost", id)
    other = take(queue, "other")
    first = hand_in(queue, "other", other)
    second = hand_in(queue, "ghost", ghost)  # the ghost wakes up with the same picture
    assert first.is_file() and not second.exists()
    queue.claims.finish("ghost", ghost, 1)
    queue.claims.stopped("ghost", id)
    queue.claims.fail("ghost", id, "unexpected", {}, "")
    queue.claims.give_back("ghost", id, "worker_lost")
    assert status(queue, id) == ("running", 0)
    queue.claims.finish("other", other, 1)
    assert status(queue, id) == ("done", 0) and len(queue.library.of_job(id)) == 1
    queue.database.close()


def test_what_was_written_but_not_told_is_not_made_again(queue: Queue) -> None:
    id = add(queue, batch_count=3)
    taken = take(queue, "w")
    hand_in(queue, "w", taken, 0)
    make(queue, taken, 1)
    queue.claims.give_back("w", id, "worker_lost", {"reason": "SIGKILL"})
    again = take(queue, "v")
    assert again.done == {0, 1}
    pictures = [each.event.kind for each in queue.feed.since(0, id)].count("picture")
    assert pictures == 2


def test_a_worker_that_dies_after_the_last_picture_leaves_nothing_to_make(queue: Queue) -> None:
    id = add(queue)
    make(queue, take(queue, "w"))
    queue.claims.give_back("w", id, "worker_lost")
    again = take(queue, "w")
    assert again.done == {0}
    queue.claims.finish("w", again, 0)
    job = queue.jobs.get(id)
    assert job is not None and (job.status, len(job.pictures)) == ("done", 1)


def test_a_stored_request_that_is_not_allowed_any_more_fails_alone(queue: Queue) -> None:
    id, fine = add(queue), add(queue)
    with queue.database.write() as session:
        session.connection().exec_driver_sql(
            "UPDATE jobs SET request = replace(request, '\"steps\":20', '\"steps\":5000') WHERE number = 1"
        )
    assert [each.request.steps for each in queue.jobs.queue()] == [5000, 20]
    assert take(queue, "w").id == fine
    job = queue.jobs.get(id)
    assert job is not None and job.error is not None
    assert (job.status, job.error.key) == ("failed", "request_outdated")


def test_two_deaths_without_a_picture_set_a_job_aside(queue: Queue) -> None:
    id = add(queue, batch_count=2)
    for expected in ("queued", "set_aside"):
        take(queue, "w")
        queue.claims.give_back("w", id, "worker_lost", {"reason": "SIGSEGV"})
        assert status(queue, id)[0] == expected
    last = queue.feed.since(0, id)[-1].event
    assert last == Failed(key="worker_lost", values={"reason": "SIGSEGV"}, set_aside=True)
    assert queue.claims.take("w", "w") is None
    assert queue.jobs.retry(id) and status(queue, id) == ("queued", 0)


def test_a_picture_between_deaths_clears_the_count(queue: Queue) -> None:
    id = add(queue, batch_count=3)
    for index in range(2):
        hand_in(queue, "w", take(queue, "w"), index)
        queue.claims.give_back("w", id, "worker_lost")
        assert status(queue, id) == ("queued", 1)


def test_a_job_that_was_to_stop_does_not_come_back(queue: Queue) -> None:
    id = add(queue)
    take(queue, "w")
    queue.jobs.interrupt(id)
    queue.claims.give_back("w", id, "worker_lost")
    assert status(queue, id) == ("stopped", 1)


def test_the_death_of_the_server_is_not_the_jobs_fault(queue: Queue) -> None:
    ids = [add(queue), add(queue)]
    take(queue, "old")
    take(queue, "elsewhere")
    assert queue.claims.recover(["old", "older"]) == 1
    assert [status(queue, each) for each in ids] == [("queued", 0), ("running", 0)]


def test_speed_is_learnt_only_from_whole_runs(queue: Queue) -> None:
    for made in (1, 2):
        add(queue, batch_count=2)
        taken = replace(take(queue, "w"), started=time.time() - 10)
        queue.claims.finish("w", taken, made)
        waiting = add(queue)
        job = queue.jobs.get(waiting)
        assert job is not None and (job.progress.seconds_left is not None) is (made == 2)
        queue.jobs.cancel(waiting)
