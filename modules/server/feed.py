"""The feed: what jobs tell, numbered over all jobs, to any number of watchers, with replay from any number."""

import asyncio
import base64
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from modules.events import EVENT, LAST_KINDS, Event, Preview
from modules.library.database import Database
from modules.library.records import EventRecord, StateRecord

PASSING = frozenset({"loading", "step", "preview"})  # only the newest of each matters, and only while the job runs
REMEMBERED = 5_000  # durable events kept in memory
KEPT = 20_000  # durable events kept in the database
_BLOCK = 10_000  # numbers reserved at a time, so that a number is never given twice, whatever happens
_MARGIN = 1_000


@dataclass(frozen=True)
class Numbered:
    """An event of a job with its number; numbers rise over all jobs and over restarts."""

    seq: int
    job: str
    event: Event


@dataclass
class Pen:
    """A session of the database together with the events to be told once its changes are on the disk."""

    session: Session
    told: list[tuple[str, Event]] = field(default_factory=list)
    last: int = 0  # the number of the last of them, once the block has ended

    def tell(self, job: str, event: Event) -> None:
        """Publish `event` of `job` with this session's changes: both happen, or neither."""
        self.told.append((job, event))


@dataclass(frozen=True)
class _Watcher:
    loop: asyncio.AbstractEventLoop
    news: asyncio.Event


class Feed:
    """Publishes events and replays them.

    What decides about a job (queued, started, picture, note, done, stopped, failed) is durable. Loading, steps and
    previews pass: the newest of each is kept in memory until the job ends, so that whoever joins late sees it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._order = threading.Lock()  # held from giving a number until it is announced: numbers appear in order
        self._memory = threading.Lock()
        self._recent: deque[Numbered] = deque()
        self._passing: dict[tuple[str, str], Numbered] = {}
        self._watchers: set[_Watcher] = set()
        self._closed = False
        with database.write() as session:
            reserved = session.get(StateRecord, "events_reserved")
            last = max(int(reserved.body) if reserved else 0, session.scalar(select(func.max(EventRecord.seq))) or 0)
            oldest = last - _BLOCK - KEPT
            session.execute(delete(EventRecord).where(EventRecord.seq <= oldest))
            self._last = last
            self._reserved = _reserve(session, last)
        self._known_from = self._last  # every durable event after this number is in memory

    @property
    def last_seq(self) -> int:
        """The newest number given."""
        with self._memory:
            return self._last

    def publish(self, job: str, event: Event) -> int:
        """Tell every watcher; return the event's number. A durable event is on the disk when this returns."""
        if event.kind in PASSING:
            self._reserve_ahead()
            with self._order:
                return self._announce([self._number(job, event, 1)])
        with self.writing() as pen:
            pen.tell(job, event)
        return pen.last

    @contextmanager
    def writing(self) -> Iterator[Pen]:
        """Give a `Pen`: database changes and events that belong together. Only durable events may be told by it."""
        with ExitStack() as until_announced:
            with self._database.write() as session:
                pen = Pen(session)
                yield pen
                session.flush()
                until_announced.enter_context(self._order)
                numbered = [self._number(job, event, place + 1) for place, (job, event) in enumerate(pen.told)]
                if numbered and numbered[-1].seq + _MARGIN > self._reserved:
                    self._reserved = _reserve(session, numbered[-1].seq)
                session.add_all(
                    EventRecord(
                        seq=each.seq,
                        job=each.job,
                        kind=each.event.kind,
                        body=each.event.model_dump_json(),
                        created=time.time(),
                    )
                    for each in numbered
                )
            if numbered:
                pen.last = self._announce(numbered)

    def since(self, after: int, job: str | None = None) -> list[Numbered]:
        """Return the events after number `after`, of one job or of all, in order.

        Of steps, loading and previews only the newest of each running job is there. A number that was never given
        comes from another database, one that was moved away: then everything is news.
        """
        with self._memory:
            after = after if after <= self._last else 0
            found = [each for each in self._passing.values() if each.seq > after]
            complete = after >= self._known_from
            found += [each for each in self._recent if each.seq > after]
        if not complete:
            query = select(EventRecord).where(EventRecord.seq > after)
            if job is not None:
                query = query.where(EventRecord.job == job)
            with self._database.read() as session:
                stored = [Numbered(each.seq, each.job, _event(each)) for each in session.scalars(query)]
            found = list({each.seq: each for each in (*found, *stored)}.values())
        return sorted((each for each in found if job is None or each.job == job), key=lambda each: each.seq)

    def preview(self, job: str) -> tuple[int, bytes] | None:
        """Return the newest preview of a running job as (number, WebP bytes)."""
        with self._memory:
            found = self._passing.get((job, "preview"))
        if found is None or not isinstance(found.event, Preview):
            return None
        return found.seq, base64.b64decode(found.event.webp)

    async def watch(self, after: int, job: str | None = None) -> AsyncIterator[Numbered]:
        """Yield the events after number `after` as they come, of one job or of all, until the feed is closed."""
        watcher = self._join()
        try:
            while not self._closed:
                watcher.news.clear()
                with self._memory:
                    after = after if after <= self._last else 0
                    complete = after >= self._known_from
                found = self.since(after, job) if complete else await asyncio.to_thread(self.since, after, job)
                for each in found:
                    yield each
                    after = each.seq
                if not found:
                    await watcher.news.wait()
        finally:
            with self._memory:
                self._watchers.discard(watcher)

    async def wait(self, after: int, seconds: float) -> bool:
        """Wait until there is an event after number `after`, at most so many seconds; say whether there is one."""
        watcher = self._join()
        try:
            if self.last_seq <= after and not self._closed:
                await asyncio.wait_for(watcher.news.wait(), seconds)
            return self.last_seq > after
        except TimeoutError:
            return False
        finally:
            with self._memory:
                self._watchers.discard(watcher)

    def close(self) -> None:
        """Let every watcher go."""
        with self._memory:
            self._closed = True
            watchers = list(self._watchers)
        _wake(watchers)

    def _join(self) -> _Watcher:
        watcher = _Watcher(asyncio.get_running_loop(), asyncio.Event())
        with self._memory:
            self._watchers.add(watcher)
        return watcher

    def _number(self, job: str, event: Event, place: int) -> Numbered:
        return Numbered(self._last + place, job, event)

    def _announce(self, numbered: list[Numbered]) -> int:
        with self._memory:
            for each in numbered:
                if each.event.kind in PASSING:
                    self._passing[each.job, each.event.kind] = each
                    continue
                self._recent.append(each)
                if each.event.kind in LAST_KINDS or each.event.kind == "queued":
                    for kind in PASSING:
                        self._passing.pop((each.job, kind), None)
            self._last = numbered[-1].seq
            while len(self._recent) > REMEMBERED:
                self._known_from = self._recent.popleft().seq
            watchers = list(self._watchers)
        _wake(watchers)
        return numbered[-1].seq

    def _reserve_ahead(self) -> None:
        if self._last + _MARGIN > self._reserved:
            with self._database.write() as session, self._order:
                self._reserved = _reserve(session, self._last)


def _reserve(session: Session, last: int) -> int:
    """Note on the disk that numbers up to a block after `last` may be in use; return where the block ends."""
    state = session.get(StateRecord, "events_reserved") or StateRecord(name="events_reserved", body="0")
    state.body = str(max(int(state.body), last + _BLOCK))
    session.add(state)
    return last + _BLOCK


def _event(record: EventRecord) -> Event:
    return EVENT.validate_json(record.body)


def _wake(watchers: list[_Watcher]) -> None:
    for watcher in watchers:
        try:
            watcher.loop.call_soon_threadsafe(watcher.news.set)
        except RuntimeError:  # the watcher's loop is closed already
            continue
