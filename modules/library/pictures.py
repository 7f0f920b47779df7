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
from modules.images.formats import SUFFIXES
from modules.library.database import Database
from modules.library.records import PictureRecord
from modules.library.search import plain_words
from modules.result import Recipe

LOCAL = "local"


@dataclass(frozen=True)
class PictureRow:
    """One picture of the library. `index` counts from 0 within the job; sizes in pixels; `rating` 0 to 5 stars.

    `trashed` is when it went into the trash, None for a picture that is not there.
    """

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
    rating: int = 0
    trashed: datetime | None = None


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
        name = self.name(path)
        same = PictureRecord.path == name
        if recipe.job:
            same = or_(same, (PictureRecord.job == recipe.job) & (PictureRecord.place == recipe.index))
        record = session.scalars(select(PictureRecord).where(same)).first()
        if record is None:
            width, height = size or recipe.size
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
                words=plain_words(recipe.prompt, recipe.model, recipe.seed, path.name),
                model=recipe.model[:255],
                sampler=recipe.sampler[:255],
            )
            session.add(record)
            session.flush()
        return self.row(record)

    def get(self, id: int) -> PictureRow | None:
        """Return the picture with that id, if there is one that is not in the trash."""
        row = self.anywhere(id)
        return row if row is not None and row.trashed is None else None

    def anywhere(self, id: int) -> PictureRow | None:
        """Return the picture with that id, if there is one, in the trash or not."""
        with self._database.read() as session:
            record = session.get(PictureRecord, id)
            return None if record is None else self.row(record)

    def recent(self, limit: int, before: int | None = None) -> list[PictureRow]:
        """Return the newest pictures, newest first; only those with an id below `before`, when given.

        What is in the trash is not among them.
        """
        query = select(PictureRecord).where(PictureRecord.trashed.is_(None))
        query = query.order_by(PictureRecord.id.desc()).limit(limit)
        if before is not None:
            query = query.where(PictureRecord.id < before)
        with self._database.read() as session:
            return [self.row(each) for each in session.scalars(query)]

    def of_job(self, job: str) -> tuple[PictureRow, ...]:
        """Return every picture that `job` has made, in their order within it; those in the trash are made, too."""
        return self._made([job])[job]

    def of_jobs(self, jobs: Collection[str]) -> dict[str, tuple[PictureRow, ...]]:
        """Return the pictures of each of `jobs` that are not in the trash, in their order within it."""
        made = self._made(jobs)
        return {job: tuple(row for row in rows if row.trashed is None) for job, rows in made.items()}

    def _made(self, jobs: Collection[str]) -> dict[str, tuple[PictureRow, ...]]:
        found: defaultdict[str, list[PictureRow]] = defaultdict(list)
        if jobs:
            query = select(PictureRecord).where(PictureRecord.job.in_(jobs)).order_by(PictureRecord.place)
            with self._database.read() as session:
                for record in session.scalars(query):
                    found[record.job or ""].append(self.row(record))
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
        are left alone, and so is what is in the trash. Ends early when `going` says so.
        """
        taken = 0
        with self._database.read() as session:
            known = set(session.scalars(select(PictureRecord.path)))
        for folder in files.folders(since):
            for path in sorted(each for each in folder.iterdir() if each.suffix in SUFFIXES):
                if not going():
                    return taken
                if self.name(path) in known or path.stat().st_mtime >= before:
                    continue
                found = metadata.read(path)
                if found is None:
                    continue
                text, recipe, size = found
                if recipe is None:
                    continue
                row = self.add(path, recipe, text, owner, size, path.stat().st_mtime)
                taken += self.name(row.path) == self.name(path)
        return taken

    def name(self, path: Path) -> str:
        """Return what `path` is called on record: from the outputs folder on where it lies below that."""
        path = path.resolve()
        return path.relative_to(self._outputs).as_posix() if path.is_relative_to(self._outputs) else path.as_posix()

    def row(self, record: PictureRecord) -> PictureRow:
        """Return what a record says."""
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
            rating=record.rating,
            trashed=None if record.trashed is None else datetime.fromtimestamp(record.trashed, UTC),
        )
