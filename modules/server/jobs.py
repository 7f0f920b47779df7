"""The queue: jobs are rows of the database, and everything about them is asked and done by their id."""

import json
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Literal

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from modules.events import Event, Queued, Stopped
from modules.library.database import Database
from modules.library.pictures import Library, PictureRow
from modules.library.records import JobRecord, StateRecord
from modules.request import Request
from modules.server.feed import Feed
from modules.server.scheduler import PAUSED, foresee, in_order, turn_for
from modules.server.tracker import Tracker, learnt_rate
from modules.server.views import Job, Problem, Progress, Stage, Status
from modules.tasks import Extras, FileTask, SmallTask, Task, read_task

UNKNOWN_SIZE = 512  # pixels, for the estimate when neither the request nor the model says


class Jobs:
    """What people do with the queue: add, look, move, stop, put back. Safe to call from any thread.

    An id that is not there, or a job that is past what is asked of it, changes nothing: by the time a click arrives
    the job may be over.
    """

    def __init__(self, database: Database, feed: Feed, library: Library, workers: int = 1) -> None:
        self._database = database
        self._feed = feed
        self._library = library
        self._workers = max(1, workers)
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []
        self.tracker = Tracker()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener`, from any thread, whenever there may be something new for a worker to do or to stop."""
        with self._lock:
            self._listeners.append(listener)

    def add(
        self,
        request: Request,
        owner: str,
        origin: str = "",
        native_size: int = UNKNOWN_SIZE,
        priority: int = 0,
        pixels: int = 0,
    ) -> str:
        """Queue `request` (its seed drawn) and return the job's id. It survives whatever happens from here on.

        `pixels` are those of one of its pictures, where its width and height do not say it.
        """
        pixels = pixels or (request.width or native_size) * (request.height or native_size)
        return self._add(
            request, owner, origin, request.images, float(pixels * request.steps * request.images), priority
        )

    def add_file(self, task: FileTask | SmallTask, owner: str, origin: str = "") -> str:
        """Queue the making of a file, hint or caption and return the job's id. Its work counts for no one's share."""
        return self._add(task, owner, origin, images=0, work=0.0, priority=0)

    def add_extras(self, task: Extras, owner: str, origin: str = "", pixels: int = 0) -> str:
        """Queue what is to be done to finished pictures and return the job's id; it makes so many `pixels` in all."""
        return self._add(task, owner, origin, task.images, float(pixels), priority=0)

    def _add(self, task: Task, owner: str, origin: str, images: int, work: float, priority: int) -> str:
        id = secrets.token_hex(8)
        with self._feed.writing() as pen:
            pen.session.add(
                JobRecord(
                    id=id,
                    owner=owner,
                    origin=origin,
                    request=task.model_dump_json(),
                    model=task.model,
                    images=images,
                    work=work,
                    priority=priority,
                    turn=turn_for(pen.session, owner),
                    status="queued",
                    created=time.time(),
                )
            )
            pen.tell(id, Queued())
        self._notify()
        return id

    def get(self, id: str) -> Job | None:
        """Return the job as it stands now."""
        with self._database.read() as session:
            record = _find(session, id)
            if record is None:
                return None
            if record.status == "queued":
                return next((each for each in self._queue(session) if each.id == id), None)
            return self._view(session, record, 0 if record.status == "running" else None, self._pictures([record]))

    def queue(self) -> list[Job]:
        """Return what runs, then what waits in the order it will run, each with the time until it is complete."""
        with self._database.read() as session:
            return self._queue(session)

    def recent(self, limit: int = 20, owner: str | None = None) -> list[Job]:
        """Return the jobs added last, newest first, whatever became of them; of one owner, when given."""
        query = select(JobRecord).order_by(JobRecord.number.desc()).limit(limit)
        if owner is not None:
            query = query.where(JobRecord.owner == owner)
        with self._database.read() as session:
            records = list(session.scalars(query))
            waiting = {}
            if any(each.status == "queued" for each in records):
                waiting = {each.id: each for each in self._queue(session)}
            pictures = self._pictures(records)
            return [
                waiting.get(each.id) or self._view(session, each, 0 if each.status == "running" else None, pictures)
                for each in records
            ]

    def cancel(self, id: str) -> bool:
        """Stop the job: take a waiting one from the queue, interrupt a running one. Say whether there was one."""
        with self._feed.writing() as pen:
            record = _find(pen.session, id)
            stopped = record is not None and _stop(pen.session, record)
            if record is not None and record.status == "stopped" and stopped:
                pen.tell(id, Stopped())
        self._notify()
        return stopped

    def interrupt(self, id: str) -> bool:
        """Stop the job if it runs; the pictures it has finished stay. A waiting job keeps waiting."""
        return self._wish(id, "stop")

    def interrupt_gently(self, id: str) -> Literal["", "last", "stop"]:
        """Let a running job finish the pictures in the making and stop then; asked again, stop it at once.

        So is one that has no further batch, or makes no pictures of a prompt. Return which of them was wished; "" for
        a job that does not run.
        """
        with self._database.read() as session:
            record = _find(session, id)
            if record is None or record.status != "running":
                return ""
            task = _recall(record.request)
            gently = isinstance(task, Request) and task.batch_count > 1 and record.wish not in ("last", "stop")
        wish: Literal["last", "stop"] = "last" if gently else "stop"
        return wish if self._wish(id, wish) else ""

    def skip(self, id: str) -> bool:
        """Drop the batch a running job works on and go on with its next."""
        return self._wish(id, "skip")

    def move(self, id: str, place: int) -> bool:
        """Put a waiting job at `place` of the waiting ones (1 is next); those before it stay as they are seen now."""
        with self._feed.writing() as pen:
            order = self._waiting(pen.session)
            moved = next((each for each in order if each.id == id), None)
            if moved is None:
                return False
            order.remove(moved)
            place = min(max(1, place), len(order) + 1)
            order.insert(place - 1, moved)
            fixed = max(place, *(at for at, each in enumerate(order, 1) if each.place is not None), 0)
            for at, record in enumerate(order[:fixed], 1):
                record.place = at
        self._notify()
        return True

    def retry(self, id: str) -> bool:
        """Put a job that failed, was stopped or was set aside back at the end of the queue; its pictures stay."""
        with self._feed.writing() as pen:
            record = _find(pen.session, id)
            if record is None or record.status not in ("failed", "stopped", "set_aside"):
                return False
            record.turn = turn_for(pen.session, record.owner)
            record.status, record.attempts, record.place, record.error, record.wish = "queued", 0, None, "", ""
            record.started = record.finished = None
            pen.tell(id, Queued())
        self._notify()
        return True

    def pause(self, on: bool) -> None:
        """Let no further job begin, or let them begin again. It stays so over a restart."""
        with self._database.write() as session:
            session.merge(StateRecord(name=PAUSED, body="1" if on else "0"))
        self._notify()

    @property
    def paused(self) -> bool:
        """Whether the queue is paused."""
        with self._database.read() as session:
            state = session.get(StateRecord, PAUSED)
            return state is not None and state.body == "1"

    def clear(self) -> int:
        """Take every waiting job from the queue; return how many there were."""
        with self._feed.writing() as pen:
            records = list(pen.session.scalars(select(JobRecord).where(JobRecord.status == "queued")))
            for record in records:
                _stop(pen.session, record)
                pen.tell(record.id, Stopped())
        self._notify()
        return len(records)

    def tell(self, id: str, event: Event) -> None:
        """Pass on what a worker says about its job."""
        self.tracker.tell(id, event)
        self._feed.publish(id, event)

    def _wish(self, id: str, wish: str) -> bool:
        with self._database.write() as session:
            record = _find(session, id)
            if record is None or record.status != "running":
                return False
            if record.wish != "stop":  # to skip the last batch is to stop
                record.wish = "stop" if (record.wish, wish) == ("last", "skip") else wish
        self._notify()
        return True

    def _notify(self) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    def _running(self, session: Session) -> list[JobRecord]:
        return list(session.scalars(select(JobRecord).where(JobRecord.status == "running").order_by(JobRecord.started)))

    def _waiting(self, session: Session) -> list[JobRecord]:
        waiting = list(session.scalars(select(JobRecord).where(JobRecord.status == "queued").order_by(*in_order())))
        loaded = session.scalar(
            select(JobRecord.model).where(JobRecord.started.is_not(None)).order_by(JobRecord.started.desc()).limit(1)
        )
        return foresee(waiting, loaded or "")

    def _queue(self, session: Session) -> list[Job]:
        running, waiting = self._running(session), self._waiting(session)
        pictures = self._pictures([*running, *waiting])
        jobs = [self._view(session, each, 0, pictures) for each in running]
        rates: dict[str, float | None] = {}
        total: float | None = 0.0
        for job in jobs:
            total = _sum(total, job.progress.seconds_left)
        for position, record in enumerate(waiting, 1):
            if record.model not in rates:
                rates[record.model] = learnt_rate(session, record.model)
            total = _sum(total, _expected(record, rates[record.model]))
            left = None if total is None else total / self._workers
            jobs.append(self._view(session, record, position, pictures, left))
        return jobs

    def _pictures(self, records: Sequence[JobRecord]) -> dict[str, tuple[PictureRow, ...]]:
        return self._library.of_jobs([each.id for each in records])

    def _view(
        self,
        session: Session,
        record: JobRecord,
        position: int | None,
        pictures: dict[str, tuple[PictureRow, ...]],
        seconds_left: float | None = None,
    ) -> Job:
        status: Status = record.status  # type: ignore[assignment]  # only this room writes it
        mine = pictures.get(record.id, ())
        progress = None
        if status == "running":
            expected = _expected(record, learnt_rate(session, record.model))
            progress = self.tracker.progress(record.id, expected)
        if progress is None:
            stage: Stage = "starting" if status == "running" else status
            fraction = 1.0 if status == "done" else len(mine) / max(record.images, 1)
            progress = Progress(len(mine), record.images, fraction=fraction, stage=stage, seconds_left=seconds_left)
        error = None
        if record.error:
            key, values, detail = json.loads(record.error)
            error = Problem(key, values, detail)
        return Job(
            id=record.id,
            owner=record.owner,
            origin=record.origin,
            task=_recall(record.request),
            status=status,
            position=position,
            attempts=record.attempts,
            created=_moment(record.created),
            started=None if record.started is None else _moment(record.started),
            finished=None if record.finished is None else _moment(record.finished),
            progress=progress,
            error=error,
            pictures=mine,
            notes=tuple((key, values) for key, values in json.loads(record.notes)),
        )


def _find(session: Session, id: str) -> JobRecord | None:
    return session.scalars(select(JobRecord).where(JobRecord.id == id)).first()


def _recall(body: str) -> Task:
    """Return a stored task, for looking at: one of an older Easel may hold what is not allowed any more."""
    try:
        return read_task(body)
    except ValidationError:
        stored = json.loads(body)
        return Request.model_construct(**{name: stored[name] for name in Request.model_fields if name in stored})


def _stop(session: Session, record: JobRecord) -> bool:
    """End a waiting job, or wish a running one to end; say whether it was either."""
    if record.status == "queued":
        record.status, record.finished, record.place = "stopped", time.time(), None
        return True
    if record.status == "running":
        record.wish = "stop"
        return True
    return False


def _expected(record: JobRecord, rate: float | None) -> float | None:
    return None if rate is None else rate * record.work


def _sum(total: float | None, more: float | None) -> float | None:
    return None if total is None or more is None else total + more


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
