"""What people do with the queue, each by a job's id."""

import pytest

from modules.events import Note, PictureDone, Step, Stopped
from modules.request import LARGEST_SEED
from modules.server.views import Job
from tests.fakes import ask
from tests.server.conftest import Queue


def add(queue: Queue, prompt: str = "", **values: object) -> str:
    return queue.jobs.add(ask(prompt, **{"seed": 1, **values}), "anna", "phone")


def job(queue: Queue, id: str) -> Job:
    found = queue.jobs.get(id)
    assert found is not None
    return found


def test_a_job_is_there_as_it_was_asked(queue: Queue) -> None:
    request = ask("a cat 🐈", seed=LARGEST_SEED, batch_count=3, extras={"wild": {"on": True}})
    id = queue.jobs.add(request, "anna", "phone")
    found = job(queue, id)
    assert (found.request, found.owner, found.origin, found.status) == (request, "anna", "phone", "queued")
    assert (found.position, found.attempts, found.progress.images, found.progress.stage) == (1, 0, 3, "queued")
    assert [each.event.kind for each in queue.feed.since(0, id)] == ["queued"]
    assert queue.jobs.get("nothing") is None


def test_positions_count_from_what_runs(queue: Queue) -> None:
    ids = [add(queue, prompt) for prompt in "abc"]
    assert queue.claims.take("w", "worker 1") is not None
    assert [(each.id, each.position, each.status) for each in queue.jobs.queue()] == [
        (ids[0], 0, "running"),
        (ids[1], 1, "queued"),
        (ids[2], 2, "queued"),
    ]
    assert [each.id for each in queue.jobs.recent()] == [*reversed(ids)]
    assert [each.id for each in queue.jobs.recent(1)] == [ids[2]]
    assert queue.jobs.recent(owner="ben") == []


def test_cancelling_a_waiting_job_leaves_the_running_one(queue: Queue) -> None:
    ids = [add(queue, prompt) for prompt in "abc"]
    taken = queue.claims.take("w", "worker 1")
    assert taken is not None and taken.id == ids[0]
    assert queue.jobs.cancel(ids[1])
    assert queue.claims.wish("w", ids[0]) == ""
    assert [each.id for each in queue.jobs.queue()] == [ids[0], ids[2]]
    assert job(queue, ids[1]).status == "stopped"
    assert queue.feed.since(0, ids[1])[-1].event == Stopped()
    assert not queue.jobs.cancel(ids[1]) and not queue.jobs.cancel("nothing")


def test_interrupt_and_skip_reach_the_running_job_only(queue: Queue) -> None:
    ids = [add(queue, prompt) for prompt in "ab"]
    queue.claims.take("w", "worker 1")
    assert not queue.jobs.interrupt(ids[1]) and not queue.jobs.skip(ids[1])
    assert job(queue, ids[1]).status == "queued"
    assert queue.jobs.skip(ids[0])
    assert (queue.claims.wish("w", ids[0]), queue.claims.wish("w", ids[0])) == ("skip", "")
    assert queue.jobs.interrupt(ids[0]) and queue.jobs.skip(ids[0])
    assert queue.claims.wish("w", ids[0]) == "stop"
    assert queue.claims.wish("another", ids[0]) == ""
    queue.claims.stopped("w", ids[0])
    assert job(queue, ids[0]).status == "stopped" and job(queue, ids[0]).finished is not None


def test_clearing_leaves_what_runs(queue: Queue) -> None:
    ids = [add(queue, prompt) for prompt in "abc"]
    queue.claims.take("w", "worker 1")
    assert queue.jobs.clear() == 2
    assert [each.id for each in queue.jobs.queue()] == [ids[0]]
    assert queue.jobs.clear() == 0


def test_a_failed_job_says_why_and_can_be_put_back(queue: Queue) -> None:
    id = add(queue, "a")
    last = add(queue, "b")
    assert not queue.jobs.retry(id)
    queue.claims.take("w", "worker 1")
    queue.claims.fail("w", id, "save_full", {"folder": "f", "free": 0}, "Traceback …")
    failed = job(queue, id)
    assert failed.status == "failed" and failed.error is not None
    assert (failed.error.key, failed.error.values, failed.error.detail) == (
        "save_full",
        {"folder": "f", "free": 0},
        "Traceback …",
    )
    assert queue.jobs.retry(id)
    again = job(queue, id)
    assert (again.status, again.position, again.error, again.started) == ("queued", 2, None, None)
    assert again.request.seed == 1
    assert [each.id for each in queue.jobs.queue()] == [last, id]


def test_moving_what_does_not_wait_changes_nothing(queue: Queue) -> None:
    id = add(queue, "a")
    queue.claims.take("w", "worker 1")
    assert not queue.jobs.move(id, 1) and not queue.jobs.move("nothing", 1)


def test_whoever_listens_hears_of_every_change(queue: Queue) -> None:
    heard: list[str] = []
    queue.jobs.listen(lambda: heard.append("!"))
    id = add(queue)
    queue.jobs.pause(False)
    queue.claims.take("w", "worker 1")
    queue.jobs.interrupt(id)
    assert len(heard) == 3


def test_notes_stay_with_the_job(queue: Queue) -> None:
    id = add(queue)
    queue.claims.take("w", "worker 1")
    queue.claims.note("w", id, Note(key="skipped", values={"first": 1}))
    queue.claims.note("another", id, Note(key="skipped", values={"first": 2}))
    assert job(queue, id).notes == (("skipped", {"first": 1}),)


def test_progress_follows_the_steps(queue: Queue) -> None:
    id = add(queue, batch_count=2, batch_size=2)
    queue.claims.take("w", "worker 1")
    assert job(queue, id).progress.stage == "starting"
    queue.jobs.tell(id, Step(image=0, batch=2, images=4, step=5, steps=20))
    progress = job(queue, id).progress
    assert (progress.image, progress.images, progress.step, progress.steps) == (0, 4, 5, 20)
    assert (progress.fraction, progress.stage) == (0.125, "sampling")
    queue.jobs.tell(id, Step(image=0, batch=2, images=4, step=20, steps=20))
    queue.jobs.tell(id, PictureDone(image=0, picture=1, seed=1))
    progress = job(queue, id).progress
    assert (progress.fraction, progress.image, progress.stage) == (0.5, 1, "saving")


def test_time_left_is_learnt_from_past_jobs(queue: Queue) -> None:
    first = add(queue, model="x")
    assert job(queue, first).progress.seconds_left is None
    taken = queue.claims.take("w", "worker 1")
    assert taken is not None
    with queue.database.write() as session:
        session.connection().exec_driver_sql("UPDATE jobs SET started = started - 10")
    queue.claims.finish("w", taken.__class__(**{**taken.__dict__, "started": taken.started - 10}), made=1)
    single, double = add(queue, model="x"), add(queue, model="x", batch_count=2)
    other = add(queue, model="never seen")
    left = [each.progress.seconds_left for each in queue.jobs.queue()]
    assert left == pytest.approx([10, 30, 40], rel=0.2)  # a busy machine adds to the ten seconds
    queue.claims.take("w", "worker 1")
    assert job(queue, single).progress.seconds_left == pytest.approx(10, rel=0.2)
    assert job(queue, double).position == 1 and job(queue, other).position == 2


def test_a_job_may_finish_its_batch_first_and_stops_when_it_is_asked_again(queue: Queue) -> None:
    ids = [add(queue, "a", batch_count=2), add(queue, "b")]
    assert queue.jobs.interrupt_gently(ids[0]) == "", "it waits"
    queue.claims.take("w", "worker 1")
    assert queue.jobs.interrupt_gently(ids[0]) == "last"
    assert [queue.claims.wish("w", ids[0]) for _ in range(2)] == ["last", "last"]
    assert queue.jobs.interrupt_gently(ids[0]) == "stop" and queue.claims.wish("w", ids[0]) == "stop"
    queue.claims.stopped("w", ids[0])
    queue.claims.take("w", "worker 1")
    assert queue.jobs.interrupt_gently(ids[1]) == "stop", "no batch follows"


def test_to_skip_the_last_batch_is_to_stop(queue: Queue) -> None:
    id = add(queue, "a", batch_count=2)
    queue.claims.take("w", "worker 1")
    assert queue.jobs.interrupt_gently(id) == "last" and queue.jobs.skip(id)
    assert queue.claims.wish("w", id) == "stop"


def test_a_job_that_was_to_end_is_over_when_its_worker_dies(queue: Queue) -> None:
    id = add(queue, "a", batch_count=2)
    queue.claims.take("w", "worker 1")
    queue.jobs.interrupt_gently(id)
    queue.claims.give_back("w", id, "worker_lost", {"reason": "SIGKILL"})
    assert job(queue, id).status == "stopped"
