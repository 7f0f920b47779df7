"""The trash: pictures that are hidden everywhere, whose files wait in a folder of the outputs until it is emptied."""

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from modules.errors import SaveError
from modules.images.files import companions, move
from modules.images.formats import SUFFIXES
from modules.library.database import Database
from modules.library.gallery import parted
from modules.library.pictures import Library, PictureRow
from modules.library.records import PictureRecord

FOLDER = ".trash"  # in the outputs; below it every file has the path it had
FAR = "elsewhere"  # in it: what lay outside the outputs

Place = Callable[[PictureRecord], tuple[Path, Path]]  # from where to where a picture's file goes


@dataclass(frozen=True)
class Moved:
    """What became of the pictures: ids of those that went, and of those whose file is gone."""

    ids: Sequence[int]
    gone: Sequence[int]


class Trash:
    """Into the trash and out of it again. A whole act happens, or nothing of it."""

    def __init__(self, database: Database, library: Library, outputs: Path) -> None:
        self._database = database
        self._library = library
        self._outputs = outputs.resolve()
        self._folder = self._outputs / FOLDER
        self.changed = 0  # how often pictures have gone or come back, for those who show them

    def put(self, ids: Collection[int]) -> Moved:
        """Move these pictures into the trash; those whose file is gone stay as they are.

        Raises `SaveError` when a file cannot be moved; then nothing has changed.
        """
        return self._move(ids, in_trash=PictureRecord.trashed.is_(None), place=self._inwards)

    def restore(self, ids: Collection[int]) -> Moved:
        """Move these pictures back to where they were, or beside it where their name has been taken meanwhile.

        Raises `SaveError` when a file cannot be moved; then nothing has changed.
        """
        return self._move(ids, in_trash=PictureRecord.trashed.is_not(None), place=self._homewards)

    def delete(self, ids: Collection[int]) -> list[PictureRow]:
        """Delete those of these pictures that are in the trash for good, files and all; return what they were."""
        return self._delete(ids, PictureRecord.trashed.is_not(None), lambda row: True)

    def drop(self, ids: Collection[int]) -> list[PictureRow]:
        """Take those of these pictures whose file is gone off the record; return what they were."""
        return self._delete(ids, PictureRecord.trashed.is_(None), lambda row: not row.path.exists())

    def empty(self, until: float) -> Iterator[list[PictureRow]]:
        """Delete for good what went into the trash until then (seconds since 1970), in parts; yield each part."""
        query = select(PictureRecord.id).where(PictureRecord.trashed <= until).limit(500)
        while True:
            with self._database.read() as session:
                ids = session.scalars(query).all()
            if not ids:
                return
            yield self.delete(ids)

    def mend(self) -> int:
        """Set right what a power cut between a file's move and its record has left behind; return how many."""
        record = PictureRecord
        mended = 0
        with self._database.write() as session:
            for each in session.scalars(select(record).where(record.trashed.is_not(None))):
                home, here = self._outputs / each.home, self._outputs / each.path
                if not here.exists() and home.is_file() and not _on_record(session, each.home):
                    each.path, each.home, each.trashed = each.home, "", None
                    mended += 1
            session.flush()
            every = self._folder.rglob("*") if self._folder.is_dir() else ()
            for path in sorted(each for each in every if each.suffix in SUFFIXES):
                home = self._outputs / path.relative_to(self._folder)
                if _on_record(session, self._library.name(path)) or not _on_record(session, self._library.name(home)):
                    continue
                if not home.exists():
                    with contextlib.suppress(SaveError):
                        move(path, home)
                        mended += 1
        return mended

    def _move(self, ids: Collection[int], in_trash: ColumnElement[bool], place: Place) -> Moved:
        moved: list[tuple[int, Path, Path]] = []
        gone: list[int] = []
        try:
            with self._database.write() as session:
                taken = partial(self._taken, session)
                for record in _records(session, ids, in_trash):
                    source, wanted = place(record)
                    if not source.is_file():
                        gone.append(record.id)
                        continue
                    target = move(source, wanted, taken)
                    _move_companions(source, target)
                    moved.append((record.id, source, target))
                    inwards = record.trashed is None
                    record.home = record.path if inwards else ""
                    record.trashed = time.time() if inwards else None
                    record.path = self._library.name(target)
                    session.flush()
        except BaseException:
            for _, source, target in reversed(moved):
                with contextlib.suppress(OSError):
                    os.rename(target, source)
                    _move_companions(target, source)
            raise
        self.changed += 1
        return Moved([id for id, *_ in moved], gone)

    def _inwards(self, record: PictureRecord) -> tuple[Path, Path]:
        path = Path(record.path)
        kept = Path(FAR) / path.name if path.is_absolute() else path
        return self._outputs / path, self._folder / kept

    def _homewards(self, record: PictureRecord) -> tuple[Path, Path]:
        return self._outputs / record.path, self._outputs / record.home

    def _taken(self, session: Session, path: Path) -> bool:
        return _on_record(session, self._library.name(path))

    def _delete(
        self, ids: Collection[int], in_trash: ColumnElement[bool], fits: Callable[[PictureRow], bool]
    ) -> list[PictureRow]:
        with self._database.write() as session:
            rows = [self._library.row(record) for record in _records(session, ids, in_trash)]
            going = [row for row in rows if fits(row)]
            for row in going:
                if row.trashed is None:
                    continue
                try:
                    row.path.unlink(missing_ok=True)
                    for each in companions(row.path):
                        each.unlink(missing_ok=True)
                except OSError as error:
                    reason = error.strerror or type(error).__name__
                    raise SaveError("delete_failed", file=row.path.name, reason=reason) from error
            for part in parted([row.id for row in going]):
                session.execute(delete(PictureRecord).where(PictureRecord.id.in_(part)))
        self.changed += 1
        return going


def _move_companions(source: Path, target: Path) -> None:
    """Let what lies beside a picture go where the picture went; what is not there, or cannot be moved, stays."""
    for one, other in zip(companions(source), companions(target), strict=True):
        with contextlib.suppress(OSError):
            if one.exists() and not other.exists():
                os.rename(one, other)


def _records(session: Session, ids: Collection[int], condition: ColumnElement[bool]) -> list[PictureRecord]:
    found: list[PictureRecord] = []
    for part in parted(ids):
        query = select(PictureRecord).where(PictureRecord.id.in_(part), condition)
        found += session.scalars(query.order_by(PictureRecord.id))
    return found


def _on_record(session: Session, name: str) -> bool:
    return session.scalar(select(PictureRecord.id).where(PictureRecord.path == name)) is not None
