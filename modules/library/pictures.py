"""The library: which pictures there are, and how each was made."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from modules.images import metadata
from modules.images.files import PictureFiles
from modules.library.database import Database
from modules.library.records import PictureRecord
from modules.result import Recipe

LOCAL = "local"


@dataclass(frozen=True)
class PictureRow:
    """One picture of the library. `index` counts from 0 within the job; sizes in pixels."""

    id: int
    job: str
    index: int
    path: Path
    recipe: Recipe
    infotext: str
    created: datetime
    width: int
    height: int
    owner: str


class Library:
    """The pictures on record. Each is there once: by its file, and by its place in its job."""

    def __init__(self, database: Database, outputs: Path) -> None:
        self._database = database
        self._outputs = outputs.resolve()

    def add(
        self,
        path: Path,
        recipe: Recipe,
        infotext: str,
        owner: str,
        size: tuple[int, int] | None = None,
        created: float | None = None,
    ) -> PictureRow:
        """Record the picture at `path` and return its row; the row that is there already, if it is on record.

        `size` is (width, height) when it is not the recipe's; `created` in seconds since 1970, when it is not now.
        """
        with self._database.write() as session:
            return self.put(session, path, recipe, infotext, owner, size, created)

    def put(
        self,
        session: Session,
        path: Path,
        recipe: Recipe,
        infotext: str,
        owner: str,
        size: tuple[int, int] | None = None,
        created: float | None = None,
    ) -> PictureRow:
        """Do what `add` does, within a session of the caller's."""
        name = self._name(path)
        same = PictureRecord.path == name
        if recipe.job:
            same = or_(same, (PictureRecord.job == recipe.job) & (PictureRecord.place == recipe.index))
        record = session.scalars(select(PictureRecord).where(same)).first()
        if record is None:
            width, height = size or (recipe.width, recipe.height)
            record = PictureRecord(
                job=recipe.job or None,
                place=recipe.index,
                path=name,
                recipe=recipe.model_dump_json(),
                infotext=infotext,
                created=time.time() if created is None else created,
                width=width,
                height=height,
                owner=owner,
            )
            session.add(record)
            session.flush()
        return self._row(record)

    def get(self, id: int) -> PictureRow | None:
        """Return the picture with that id, if there is one."""
        with self._database.read() as session:
            record = session.get(PictureRecord, id)
            return None if record is None else self._row(record)

    def recent(self, limit: int, before: int | None = None) -> list[PictureRow]:
        """Return the newest pictures, newest first; only those with an id below `before`, when given."""
        query = select(PictureRecord).order_by(PictureRecord.id.desc()).limit(limit)
        if before is not None:
            query = query.where(PictureRecord.id < before)
        with self._database.read() as session:
            return [self._row(each) for each in session.scalars(query)]

    def of_job(self, job: str) -> tuple[PictureRow, ...]:
        """Return the pictures of `job`, in their order within it."""
        return self.of_jobs([job])[job]

    def of_jobs(self, jobs: Collection[str]) -> dict[str, tuple[PictureRow, ...]]:
        """Return the pictures of each of `jobs`, in their order within it."""
        found: defaultdict[str, list[PictureRow]] = defaultdict(list)
        if jobs:
            query = select(PictureRecord).where(PictureRecord.job.in_(jobs)).order_by(PictureRecord.place)
            with self._database.read() as session:
                for record in session.scalars(query):
                    found[record.job or ""].append(self._row(record))
        return {job: tuple(found[job]) for job in jobs}

    def take_in(
        self,
        files: PictureFiles,
        since: float = 0.0,
        owner: str = LOCAL,
        before: float = math.inf,
        going: Callable[[], bool] = lambda: True,
    ) -> int:
        """Record pictures of Easel that were written but never recorded; return how many.

        Looks only into folders that something was added to at or after `since`, and opens only files that are not
        on record and were written before `before` (both in seconds since 1970). Pictures that Easel did not make
        are left alone. Ends early when `going` says so.
        """
        taken = 0
        with self._database.read() as session:
            known = set(session.scalars(select(PictureRecord.path)))
        for folder in files.folders(since):
            for path in sorted(folder.glob("*.png")):
                if not going():
                    return taken
                if self._name(path) in known or path.stat().st_mtime >= before:
                    continue
                found = metadata.read(path)
                if found is None:
                    continue
                text, recipe, size = found
                if recipe is None:
                    continue
                row = self.add(path, recipe, text, owner, size, path.stat().st_mtime)
                taken += self._name(row.path) == self._name(path)
        return taken

    def _name(self, path: Path) -> str:
        path = path.resolve()
        return path.relative_to(self._outputs).as_posix() if path.is_relative_to(self._outputs) else path.as_posix()

    def _row(self, record: PictureRecord) -> PictureRow:
        return PictureRow(
            id=record.id,
            job=record.job or "",
            index=record.place,
            path=self._outputs / record.path,
            recipe=Recipe.model_validate_json(record.recipe),
            infotext=record.infotext,
            created=datetime.fromtimestamp(record.created, UTC),
            width=record.width,
            height=record.height,
            owner=record.owner,
        )
