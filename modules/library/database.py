"""The database: opened, checked and brought to the newest form at start; short sessions for everybody."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from modules.errors import SaveError, SetupError

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 30.0  # how long a write waits for another process's write


def make_ready(engine: Engine, where: str) -> None:
    """Check the database and bring its tables to the newest form."""
    with engine.connect() as connection:
        _check(connection, where)
    _upgrade(engine, where)


class Database:
    """Sessions on one database. Writes of this process come one after the other, so they never meet as a deadlock."""

    def __init__(self, url: str, prepare: Callable[[Engine, str], None] = make_ready) -> None:
        """Open the database at `url` (SQLAlchemy), make or upgrade its tables.

        Raises `SetupError` when it cannot be opened, is damaged, or was made by a newer Easel.
        """
        self._writing = threading.Lock()
        try:
            parsed = make_url(url)
            where = parsed.database or "" if parsed.get_backend_name() == "sqlite" else parsed.render_as_string()
            self._where = where
            self._engine = _connect(parsed)
        except (ArgumentError, NoSuchModuleError, ImportError, OSError) as error:
            raise SetupError("database_unusable", where=url, reason=str(error)) from error
        try:
            prepare(self._engine, where)
        except DatabaseError as error:
            self.close()
            raise _explained(error, where) from error
        except SQLAlchemyError as error:
            self.close()
            raise SetupError("database_unusable", where=where, reason=str(error)) from error
        except SetupError:
            self.close()
            raise

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Give a session whose changes are on the disk when the block ends, or undone when it raises.

        Raises `SaveError` when they cannot be written (disk full, no permission).
        """
        engine = self._engine.execution_options(immediate=True)
        try:
            with self._writing, Session(engine, expire_on_commit=False) as session, session.begin():
                yield session
        except OperationalError as error:
            raise SaveError("database_write", where=self._where, reason=str(error.orig)) from error

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session that sees one moment of the database."""
        with Session(self._engine, expire_on_commit=False) as session:
            yield session

    def close(self) -> None:
        """Give every connection back to the system."""
        self._engine.dispose()


def join(url: str) -> Database | None:
    """Open a database that another process keeps in order, at once and as it is; None when there is none."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or ":memory:").is_file():
            return None
        return Database(url, lambda engine, where: None)
    except (ArgumentError, SetupError):
        return None


def _connect(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: object, record: ConnectionPoolEntry) -> None:
    """Set up one SQLite connection: WAL, so that readers never wait; every commit on the disk before it returns."""
    connection.isolation_level = None  # type: ignore[attr-defined]  # transactions begin where _begin says
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    """Begin a write with the write lock in hand: a transaction that first reads and then writes could not wait."""
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _check(connection: Connection, where: str) -> None:
    if connection.dialect.name != "sqlite":
        return
    found = connection.execute(text("PRAGMA quick_check(1)")).scalar()
    if found != "ok":
        raise SetupError("database_damaged", where=where, reason=str(found))


def _upgrade(engine: Engine, where: str) -> None:
    configuration = Config()
    configuration.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {each.revision for each in ScriptDirectory.from_config(configuration).walk_revisions()}
    with engine.execution_options(immediate=True).begin() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        if current is not None and current not in known:
            raise SetupError("database_newer", where=where)
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")


def _explained(error: DatabaseError, where: str) -> SetupError:
    reason = str(error.orig)
    damaged = any(sign in reason for sign in ("not a database", "malformed"))
    return SetupError("database_damaged" if damaged else "database_unusable", where=where, reason=reason)
