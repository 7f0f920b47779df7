"""What is known of model files: kept between runs, shared by processes, and never a reason to fail."""

import contextlib
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from modules.errors import SaveError
from modules.library.database import Database
from modules.library.records import ModelRecord

_AT_ONCE = 500  # rows; SQLite takes some thousand values in one statement
_TABLE = ModelRecord.__table__


class StoredModel(NamedTuple):
    """What is known of one file while its `mark` is the same; `rules` say what it was examined by."""

    kind: str
    path: str
    mark: str
    rules: str = ""
    family: str = ""
    native_size: int = 0
    sha256: str = ""
    network_hash: str = ""
    alias: str = ""
    problem: str = ""
    problem_values: str = ""  # JSON, empty for none
    defaults: str = ""  # JSON, empty for none


class ModelIndex:
    """The table of model files. Where it cannot be read nothing is known; where it cannot be written, nothing kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, kind: str) -> dict[str, StoredModel]:
        """Return what is known of the files of `kind`, by path."""
        query = select(_TABLE).where(ModelRecord.kind == kind)
        with contextlib.suppress(SQLAlchemyError), self._database.read() as session:
            return {row.path: StoredModel._make(row) for row in session.connection().execute(query)}
        return {}

    def get(self, kind: str, path: str) -> StoredModel | None:
        """Return what is known of one file."""
        query = select(_TABLE).where(ModelRecord.kind == kind, ModelRecord.path == path)
        with contextlib.suppress(SQLAlchemyError), self._database.read() as session:
            row = session.execute(query).first()
            return None if row is None else StoredModel._make(row)
        return None

    def keep(self, models: Iterable[StoredModel]) -> None:
        """Keep what is known of these files, in place of what was."""
        rows = [each._asdict() for each in models]
        for first in range(0, len(rows), _AT_ONCE):
            part = rows[first : first + _AT_ONCE]
            with contextlib.suppress(SQLAlchemyError, SaveError), self._database.write() as session:
                for kind in {row["kind"] for row in part}:
                    paths = [row["path"] for row in part if row["kind"] == kind]
                    session.execute(delete(ModelRecord).where(ModelRecord.kind == kind, ModelRecord.path.in_(paths)))
                session.execute(insert(ModelRecord), part)
