"""Generating forever: one round after another, never two, until somebody stops it or something goes wrong."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from modules.errors import BadRequest
from modules.server.forever import Forever
from tests.fakes import ask
from tests.server.conftest import Queue
from tests.serving import until


@dataclass
class Form:
    """A form that adds a job when it is asked to, unless something in it is not all right."""

    queue: Queue
    added: list[str] = field(default_factory=list)
    problem: BadRequest | None = None

    def add(self) -> list[str]:
        if self.problem is not None:
            raise self.problem
        self.added.append(self.queue.jobs.add(ask("a cat", seed=1), "anna", "phone"))
        return self.added[-1:]


@pytest.fixture
def forever(queue: Queue) -> Iterator[Forever]:
    made = Forever(queue.jobs)
    yield made
    made.close()


@pytest.fixture
def form(queue: Queue, forever: Forever) -> Form:
    made = Form(queue)
    forever.begin("anna", "txt2img", made.add(), made.add)
    return made


def run(queue: Queue) -> str:
    """Make the next job's pictures, and return its id."""
    taken = queue.claims.take("w", "worker 1")
    assert taken is not None
    queue.claims.finish("w", taken, 1)
    return taken.id


def test_the_next_job_comes_when_the_last_has_ended_and_never_more_than_one_waits(
    queue: Queue, forever: Forever, form: Form
) -> None:
    for place in range(3):
        assert len(queue.jobs.queue()) == 1
        assert run(queue) == form.added[place]
        until(lambda place=place: len(form.added) == place + 2)  # type: ignore[misc]
    until(lambda: (now := forever.of("anna")) is not None and now.ended == 3)
    assert [job.id for job in queue.jobs.queue()] == form.added[-1:]
    assert forever.of("ben") is None


def test_while_a_job_runs_nothing_is_added(queue: Queue, forever: Forever, form: Form) -> None:
    taken = queue.claims.take("w", "worker 1")
    assert taken is not None
    forever._look("anna", *forever._rounds["anna"])
    assert len(form.added) == 1


def test_a_job_that_is_stopped_or_fails_is_the_last(queue: Queue, forever: Forever, form: Form) -> None:
    queue.jobs.cancel(form.added[0])
    until(lambda: forever.of("anna") is None)
    forever.begin("anna", "txt2img", form.add(), form.add)
    taken = queue.claims.take("w", "worker 1")
    assert taken is not None
    queue.claims.fail("w", taken.id, "unknown", {}, "")
    until(lambda: forever.of("anna") is None)
    assert len(form.added) == 2 and queue.jobs.queue() == []


def test_after_the_end_what_waits_is_made_and_nothing_follows(queue: Queue, forever: Forever, form: Form) -> None:
    forever.end("anna")
    assert forever.of("anna") is None
    run(queue)
    before = forever._rounds
    assert before == {} and len(form.added) == 1


def test_what_was_added_while_it_ended_is_taken_back(queue: Queue, forever: Forever, form: Form) -> None:
    now, _ = forever._rounds["anna"]
    run(queue)

    def late() -> list[str]:
        forever.end("anna")
        return form.add()

    forever.begin("anna", "txt2img", now.jobs, late)
    until(lambda: len(form.added) == 2 and queue.jobs.queue() == [])
    assert forever.of("anna") is None


def test_a_form_that_somebody_writes_in_is_waited_for(queue: Queue, forever: Forever, form: Form) -> None:
    form.problem = BadRequest("number", field="steps", value="", least=1, most=150)
    run(queue)
    until(lambda: (now := forever.of("anna")) is not None and now.problem is form.problem)
    form.problem = None
    until(lambda: len(form.added) == 2)
    until(lambda: (now := forever.of("anna")) is not None and now.problem is None)
