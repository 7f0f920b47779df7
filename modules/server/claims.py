"""The workers' side of the queue: take a job under a lease, keep the lease, hand in pictures, hand the job back."""

import contextlib
import json
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from modules.events import Done, Failed, Note, PictureDone, Queued, Started, Stopped
from modules.images.files import PictureFiles
from modules.library.database import Database
from modules.library.pictures import Library
from modules.library.records import JobRecord
from modules.result import Recipe
from modules.server.feed import Feed, Pen
from modules.server.scheduler import claim, peek
from modules.server.tracker import Tracker
from modules.tasks import Task, read_task

_SLACK = 2.0  # seconds a file system's clock may differ


@dataclass(frozen=True)
class Taken:
    """A job in a worker's hands; pictures in `done` were made by an earlier attempt."""

    id: str
    owner: str
    task: Task
    model: str
    work: float
    started: float
    done: frozenset[int]
    made: Mapping[int, Path] = field(default_factory=dict)  # where each of them is


class Claims:
    """Every change a worker's supervisor makes to a job. A worker that lost its lease changes nothing."""

    def __init__(
        self,
        database: Database,
        feed: Feed,
        library: Library,
        files: PictureFiles,
        tracker: Tracker,
        lease_seconds: float,
        max_deaths: int,
    ) -> None:
        self._database = database
        self._feed = feed
        self._library = library
        self._files = files
        self._tracker = tracker
        self._lease_seconds = lease_seconds
        self._max_deaths = max_deaths

    def take(self, worker: str, label: str, loaded: str = "") -> Taken | None:
        """Claim the next job for `worker` (`label` is how people call it), or None when there is nothing to do."""
        now = time.time()
        with self._feed.writing() as pen:
            record = pen.session.scalars(claim(worker, loaded, now + self._lease_seconds, now)).first()
            if record is None:
                return None
            made = {each.index: each.path for each in self._library.of_job(record.id)}
            started = Started(worker=label, images=record.images, done=sum(place >= 0 for place in made))
            pen.tell(record.id, started)
        self._tracker.tell(record.id, started)
        try:
            task = read_task(record.request)
        except ValidationError as error:  # stored by an Easel that allowed something else
            self.fail(worker, record.id, "request_outdated", {"reason": error.errors()[0]["msg"]}, str(error))
            return self.take(worker, label, loaded)
        return Taken(record.id, record.owner, task, record.model, record.work, now, frozenset(made), made)

    def next_model(self, loaded: str) -> str:
        """Return the model of the job that a worker with `loaded` in memory would get next, or "" for none."""
        with self._database.read() as session:
            return session.scalar(peek(loaded)) or ""

    def renew(self, worker: str, id: str) -> bool:
        """Prolong the lease; False when the job is this worker's no longer."""
        statement = (
            update(JobRecord)
            .where(JobRecord.id == id, JobRecord.worker == worker, JobRecord.status == "running")
            .values(lease=time.time() + self._lease_seconds)
            .returning(JobRecord.number)
        )
        with self._database.write() as session:
            return session.scalar(statement) is not None

    def wish(self, worker: str, id: str) -> Literal["", "skip", "stop", "last"]:
        """Return what a person wants of the job; a wish to skip is told once."""
        with self._database.read() as session:
            record = _held(session, worker, id)
            wish = "" if record is None else record.wish
        if wish in ("stop", "last"):
            return wish  # type: ignore[return-value]  # the only other words there are
        if wish != "skip":
            return ""
        with self._database.write() as session:
            record = _held(session, worker, id)
            if record is not None and record.wish == "skip":
                record.wish = ""
        return "skip"

    def hand_in(
        self, worker: str, taken: Taken, path: Path, recipe: Recipe, infotext: str, size: tuple[int, int]
    ) -> None:
        """Record a picture of the job and tell about it.

        Should another worker have made the same picture (this one had lost its lease), the second file goes.
        """
        with self._feed.writing() as pen:
            row = self._library.put(pen.session, path, recipe, infotext, taken.owner, size)
            if row.path != path.resolve():
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
                return
            record = _held(pen.session, worker, taken.id)
            if record is not None:
                record.attempts = 0
            event = PictureDone(image=max(recipe.index, 0), picture=row.id, seed=recipe.seed)
            pen.tell(taken.id, event)
        self._tracker.tell(taken.id, event)

    def note(self, worker: str, id: str, note: Note) -> None:
        """Keep a note with the job and tell about it."""
        with self._feed.writing() as pen:
            record = _held(pen.session, worker, id)
            if record is not None:
                record.notes = json.dumps([*json.loads(record.notes), [note.key, note.values]], ensure_ascii=False)
                pen.tell(id, note)

    def finish(self, worker: str, taken: Taken, made: int) -> None:
        """End the job as complete; `made` pictures came of this attempt, from which its speed is learnt."""
        now = time.time()
        with self._feed.writing() as pen:
            record = _held(pen.session, worker, taken.id)
            if record is not None:
                _end(record, "done", now)
                if made == record.images and record.work:
                    record.rate = (now - taken.started) / record.work
                pen.tell(taken.id, Done(seconds=now - taken.started))
        self._tracker.forget(taken.id)

    def stopped(self, worker: str, id: str) -> None:
        """End the job as stopped by a person."""
        with self._feed.writing() as pen:
            record = _held(pen.session, worker, id)
            if record is not None:
                _end(record, "stopped", time.time())
                pen.tell(id, Stopped())
        self._tracker.forget(id)

    def fail(self, worker: str, id: str, key: str, values: dict[str, Any], detail: str) -> None:
        """End the job as failed, with the reason."""
        with self._feed.writing() as pen:
            record = _held(pen.session, worker, id)
            if record is not None:
                _fail(pen, record, "failed", key, values, detail)
        self._tracker.forget(id)

    def give_back(self, worker: str, id: str, key: str = "", values: dict[str, Any] | None = None) -> None:
        """Put a job whose worker is gone back into the queue, after recording what it had written.

        With a `key` the worker died of the job, perhaps: it counts, and after `max_deaths` deaths without a new
        picture the job is set aside with that reason. Without one the worker was ended on purpose.
        """
        with self._database.read() as session:
            record = _held(session, worker, id)
            if record is None:
                return
            owner, since = record.owner, record.started or record.created
        self._take_in(id, owner, since)
        with self._feed.writing() as pen:
            record = _held(pen.session, worker, id)
            if record is None:
                return
            record.attempts += bool(key)
            if record.wish in ("stop", "last"):
                _end(record, "stopped", time.time())
                pen.tell(id, Stopped())
            elif key and record.attempts >= self._max_deaths:
                _fail(pen, record, "set_aside", key, values or {}, "")
            else:
                record.status, record.worker, record.lease, record.started = "queued", "", None, None
                pen.tell(id, Queued(attempts=record.attempts))
        self._tracker.forget(id)

    def expire(self, living: Collection[str]) -> int:
        """Give back jobs whose lease has run out, except those of the `living` workers; return how many."""
        query = select(JobRecord).where(
            JobRecord.status == "running", JobRecord.lease < time.time(), JobRecord.worker.not_in(list(living))
        )
        return self._give_back_all(query, "lease_lost")

    def recover(self, dead: Iterable[str]) -> int:
        """Give back the jobs of workers that are known to be dead with their server; return how many.

        The server's death says nothing against the job, so it does not count.
        """
        query = select(JobRecord).where(JobRecord.status == "running", JobRecord.worker.in_(list(dead)))
        return self._give_back_all(query, "")

    def _give_back_all(self, query: Any, key: str) -> int:
        with self._database.read() as session:
            found = [(each.worker, each.id) for each in session.scalars(query)]
        for worker, id in found:
            self.give_back(worker, id, key)
        return len(found)

    def _take_in(self, id: str, owner: str, since: float) -> None:
        """Record the job's pictures that were written but not reported, and tell about them."""
        self._files.sweep(since - _SLACK)
        known = {each.id for each in self._library.of_job(id)}
        self._library.take_in(self._files, since - _SLACK, owner)
        fresh = [each for each in self._library.of_job(id) if each.id not in known]
        if not fresh:
            return
        with self._feed.writing() as pen:
            record = pen.session.scalars(select(JobRecord).where(JobRecord.id == id)).one()
            record.attempts = 0
            for row in fresh:
                pen.tell(id, PictureDone(image=row.index, picture=row.id, seed=row.recipe.seed))


def _held(session: Session, worker: str, id: str) -> JobRecord | None:
    """Return the job if it runs and `worker` holds it."""
    return session.scalars(
        select(JobRecord).where(JobRecord.id == id, JobRecord.worker == worker, JobRecord.status == "running")
    ).first()


def _end(record: JobRecord, status: str, now: float) -> None:
    record.status, record.finished, record.lease, record.place, record.wish = status, now, None, None, ""


def _fail(pen: Pen, record: JobRecord, status: str, key: str, values: dict[str, Any], detail: str) -> None:
    _end(record, status, time.time())
    record.error = json.dumps([key, values, detail], ensure_ascii=False)
    pen.tell(record.id, Failed(key=key, values=values, detail=detail, set_aside=status == "set_aside"))
