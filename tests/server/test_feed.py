"""The feed: numbers in order over everything, replay from any of them, and what passes is forgotten in time."""

import asyncio
import base64
import threading
from pathlib import Path

import pytest

from modules.events import Done, Event, Loading, PictureDone, Preview, Queued, Started, Step
from modules.library.database import Database
from modules.library.records import StateRecord
from modules.server import feed as feeds
from modules.server.feed import Feed, Numbered


def step(number: int) -> Step:
    return Step(image=0, batch=1, images=1, step=number, steps=9)


def kinds(events: list[Numbered]) -> list[str]:
    return [each.event.kind for each in events]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'easel.db'}")


def test_numbers_rise_over_all_jobs(database: Database) -> None:
    feed = Feed(database)
    numbers = [feed.publish(job, event) for job, event in (("a", Queued()), ("b", Queued()), ("a", step(1)))]
    assert numbers == [1, 2, 3] and feed.last_seq == 3
    assert [(each.seq, each.job) for each in feed.since(0)] == [(1, "a"), (2, "b"), (3, "a")]
    assert [each.seq for each in feed.since(1, "a")] == [3]


def test_only_the_newest_of_what_passes_is_replayed(database: Database) -> None:
    feed = Feed(database)
    feed.publish("a", Started(worker="w", images=1))
    feed.publish("a", Loading(model="m"))
    for number in range(1, 6):
        feed.publish("a", step(number))
    assert [each.event for each in feed.since(0)][1:] == [Loading(model="m"), step(5)]
    feed.publish("a", Done(seconds=1.0))
    assert kinds(feed.since(0)) == ["started", "done"]


def test_preview_is_there_until_the_job_is_over(database: Database) -> None:
    feed = Feed(database)
    assert feed.preview("a") is None
    for content in (b"one", b"two"):
        seq = feed.publish("a", Preview(image=0, webp=base64.b64encode(content).decode()))
    assert feed.preview("a") == (seq, b"two")
    assert feed.preview("b") is None
    feed.publish("a", Queued(attempts=1))
    assert feed.preview("a") is None


def test_what_is_durable_survives_and_numbers_go_on(database: Database) -> None:
    feed = Feed(database)
    events: list[Event] = [Queued(), Started(worker="w", images=1), PictureDone(image=0, picture=7, seed=2**64 - 1)]
    last = [feed.publish("a", each) for each in events][-1]
    seen = feed.publish("a", step(1))
    again = Feed(database)
    assert [(each.seq, each.event) for each in again.since(0)] == list(enumerate(events, 1))
    assert kinds(again.since(last - 1)) == ["picture"]
    assert again.publish("a", Done(seconds=1.0)) > seen
    assert kinds(again.since(seen)) == ["done"]


def test_old_events_are_dropped_at_a_start(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Feed(database)
    for _ in range(5):
        feed.publish("a", Queued())
    monkeypatch.setattr(feeds, "KEPT", 0)
    with database.write() as session:
        session.merge(StateRecord(name="events_reserved", body=str(feeds._BLOCK + 3)))
    assert [each.seq for each in Feed(database).since(0)] == [4, 5]


def test_more_than_memory_holds_comes_from_the_database(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "REMEMBERED", 3)
    feed = Feed(database)
    for place in range(10):
        feed.publish(f"{place % 2}", Queued(attempts=place))
    assert [each.event for each in feed.since(0)] == [Queued(attempts=place) for place in range(10)]
    assert [each.seq for each in feed.since(2, "1")] == [4, 6, 8, 10]


def test_events_and_changes_happen_together_or_not_at_all(database: Database) -> None:
    feed = Feed(database)
    with pytest.raises(RuntimeError), feed.writing() as pen:
        pen.session.add(StateRecord(name="a", body="b"))
        pen.tell("a", Queued())
        raise RuntimeError
    assert feed.since(0) == [] and Feed(database).since(0) == []
    assert feed.publish("a", Queued()) == 1


def test_a_number_of_another_database_means_everything(database: Database) -> None:
    feed = Feed(database)
    feed.publish("a", Queued())
    assert kinds(feed.since(90_000)) == ["queued"]

    async def first() -> int:
        async for told in feed.watch(90_000):
            return told.seq
        return 0

    assert asyncio.run(first()) == 1


def test_many_threads_publish_in_order(database: Database) -> None:
    feed = Feed(database)

    def work(job: str) -> None:
        for number in range(1, 21):
            feed.publish(job, step(number % 9) if number % 2 else Queued(attempts=number))

    threads = [threading.Thread(target=work, args=(f"job {place}",)) for place in range(4)]
    for thread in threads:
        thread.start()
    seen: list[int] = []
    while any(thread.is_alive() for thread in threads) or seen[-1:] != [feed.last_seq]:
        seen += [each.seq for each in feed.since(seen[-1] if seen else 0)]
    assert seen == sorted(set(seen))
    durable = [each for each in feed.since(0) if each.event.kind == "queued"]
    assert len(durable) == 40 and {each.seq for each in durable} <= set(seen)


def test_watchers_get_what_was_and_what_comes(database: Database) -> None:
    feed = Feed(database)
    feed.publish("a", Queued())

    async def watch(job: str | None) -> list[str]:
        seen: list[str] = []
        async for told in feed.watch(0, job):
            seen.append(told.event.kind)
            if told.event.kind == "done":
                break
        return seen

    async def all_of_it() -> list[list[str]]:
        watchers = [asyncio.create_task(watch(job)) for job in ("a", None, "a")]
        await asyncio.sleep(0.05)
        for job, event in (("b", Queued()), ("a", Started(worker="w", images=1)), ("a", Done(seconds=1.0))):
            await asyncio.to_thread(feed.publish, job, event)
        return await asyncio.wait_for(asyncio.gather(*watchers), 10)

    mine, every, other = asyncio.run(all_of_it())
    assert mine == other == ["queued", "started", "done"]
    assert every == ["queued", "queued", "started", "done"]


def test_watchers_are_let_go_when_the_feed_closes(database: Database) -> None:
    feed = Feed(database)

    async def watch() -> list[Numbered]:
        return [told async for told in feed.watch(0)]

    async def close() -> list[Numbered]:
        watcher = asyncio.create_task(watch())
        await asyncio.sleep(0.02)
        await asyncio.to_thread(feed.close)
        return await asyncio.wait_for(watcher, 10)

    assert asyncio.run(close()) == []


def test_waiting_ends_with_news_or_with_patience(database: Database) -> None:
    feed = Feed(database)

    async def wait() -> tuple[bool, bool]:
        nothing = await feed.wait(0, 0.02)
        later = asyncio.create_task(feed.wait(0, 10))
        await asyncio.sleep(0.02)
        await asyncio.to_thread(feed.publish, "a", Queued())
        return nothing, await later

    assert asyncio.run(wait()) == (False, True)
