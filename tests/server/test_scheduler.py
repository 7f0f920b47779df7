"""The order of jobs: by hand, by priority, in fair shares, with a loaded model a little earlier."""

import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql

from modules.request import Request
from modules.server.scheduler import LOOKAHEAD, claim
from tests.fakes import ask
from tests.server.conftest import Queue, make_queue


def add(queue: Queue, prompt: str = "", owner: str = "anna", priority: int = 0, **values: object) -> str:
    return queue.jobs.add(ask(prompt, seed=1, **values), owner, priority=priority)


def take_all(queue: Queue, model: str = "") -> list[str]:
    """Take and finish every job, as one worker does; return their prompts."""
    taken = []
    while (job := queue.claims.take("w", "worker", model)) is not None:
        assert isinstance(job.task, Request)
        taken.append(job.task.prompt)
        model = job.model
        queue.claims.finish("w", job, 0)
    return taken


def shown(queue: Queue) -> list[str]:
    return [each.request.prompt for each in queue.jobs.queue()]


def test_first_come_first_served(queue: Queue) -> None:
    for prompt in "abc":
        add(queue, prompt)
    assert take_all(queue) == ["a", "b", "c"]


def test_priority_goes_first(queue: Queue) -> None:
    for prompt, priority in (("a", 0), ("b", 5), ("c", 5), ("d", -1)):
        add(queue, prompt, priority=priority)
    assert take_all(queue) == ["b", "c", "a", "d"]


def test_who_has_used_least_is_next(queue: Queue) -> None:
    for place in range(4):
        add(queue, f"anna {place}", "anna")
    for place in range(2):
        add(queue, f"ben {place}", "ben")
    order = take_all(queue)
    assert order[:4] in (["anna 0", "ben 0", "anna 1", "ben 1"], ["anna 0", "ben 0", "ben 1", "anna 1"])
    add(queue, "cleo 0", "cleo")  # new here: no debt, no credit
    add(queue, "anna 4", "anna")
    add(queue, "cleo 1", "cleo")
    assert take_all(queue)[0] == "cleo 0"


def test_shares_are_of_work_not_of_jobs(queue: Queue) -> None:
    for place in range(3):
        add(queue, f"large {place}", "anna", width=1024, height=1024)
    for place in range(8):
        add(queue, f"small {place}", "ben", width=512, height=512)
    order = take_all(queue)
    between = order[order.index("large 0") + 1 : order.index("large 1")]
    assert 3 <= len(between) <= 5  # four small ones are as much work as a large one


def test_a_newcomer_does_not_wait_for_a_long_queue(queue: Queue) -> None:
    for place in range(20):
        add(queue, f"anna {place}", "anna")
    first = queue.claims.take("w", "worker")
    assert first is not None
    add(queue, "ben", "ben")
    assert shown(queue)[1] in ("ben", "anna 1") and "ben" in shown(queue)[:3]


def test_a_loaded_model_goes_first_within_bounds(queue: Queue) -> None:
    add(queue, "x0", model="x")
    for place in range(12):
        add(queue, f"y{place}", model="y")
    assert take_all(queue, "y")[: LOOKAHEAD + 1] == [*(f"y{place}" for place in range(LOOKAHEAD - 1)), "x0", "y7"]


def test_a_loaded_model_does_not_jump_anothers_queue(queue: Queue) -> None:
    add(queue, "anna", "anna", model="x")
    add(queue, "ben", "ben", model="y")
    assert take_all(queue, "y") == ["anna", "ben"]


def test_a_place_given_by_hand_holds(queue: Queue) -> None:
    ids = {prompt: add(queue, prompt, model="y" if prompt == "e" else "x") for prompt in "abcde"}
    assert queue.jobs.move(ids["e"], 2)
    assert shown(queue) == ["a", "e", "b", "c", "d"]
    assert queue.jobs.move(ids["a"], 4)
    assert shown(queue) == ["e", "b", "c", "a", "d"]
    add(queue, "urgent", priority=9)
    assert shown(queue) == ["e", "b", "c", "a", "urgent", "d"]
    assert queue.jobs.move(ids["d"], 0) and queue.jobs.move(ids["b"], 99)
    assert shown(queue) == ["d", "e", "c", "a", "urgent", "b"]
    assert take_all(queue) == ["d", "e", "c", "a", "urgent", "b"]


def test_a_claim_is_one_statement_in_other_databases_too() -> None:
    text = str(claim("w", "m", 1.0, 1.0).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
    assert text.startswith("UPDATE jobs SET") and "RETURNING" in text and ";" not in text


def test_a_paused_queue_gives_nothing(queue: Queue) -> None:
    add(queue, "a")
    queue.jobs.pause(True)
    assert queue.jobs.paused and queue.claims.take("w", "worker") is None
    queue.jobs.pause(False)
    assert not queue.jobs.paused and take_all(queue) == ["a"]


job = st.tuples(
    st.sampled_from(["anna", "ben"]),
    st.sampled_from([0, 0, 0, 1]),
    st.sampled_from(["x", "y"]),
    st.sampled_from([64, 128]),
)


@settings(max_examples=15, deadline=None)
@given(st.lists(job, max_size=14), st.lists(st.tuples(st.integers(0, 13), st.integers(1, 14)), max_size=3))
def test_jobs_run_in_the_order_that_is_shown(
    tmp_path_factory: pytest.TempPathFactory, jobs: list[tuple[str, int, str, int]], moves: list[tuple[int, int]]
) -> None:
    queue = make_queue(tmp_path_factory.mktemp("queue"))
    ids = []
    for place, (owner, priority, model, side) in enumerate(jobs):
        ids.append(add(queue, f"{place}", owner, priority, model=model, width=side))
        if place == 5:
            taken = queue.claims.take("w", "worker")
            assert taken is not None
            queue.claims.finish("w", taken, 0)
    for which, where in moves:
        if ids:
            queue.jobs.move(ids[which % len(ids)], where)
    expected = shown(queue)
    done = queue.jobs.recent()
    loaded = next((each.request.model for each in done if each.status == "done"), "")
    assert take_all(queue, loaded) == expected
    queue.database.close()


def test_many_workers_take_each_job_once(tmp_path: Path) -> None:
    queues = [make_queue(tmp_path), make_queue(tmp_path)]  # as in two processes
    for place in range(40):
        add(queues[0], f"{place}")
    taken: Counter[str] = Counter()

    def work(place: int) -> None:
        while (job := queues[place % 2].claims.take(f"w{place}", "worker")) is not None:
            assert isinstance(job.task, Request)
            taken[job.task.prompt] += 1

    threads = [threading.Thread(target=work, args=(place,)) for place in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken == Counter({f"{place}": 1 for place in range(40)})
    for each in queues:
        each.database.close()
