"""Which processes are at work on this database, so that a start after a crash knows whose jobs are nobody's now."""

import os
import platform
import threading
import uuid

import psutil  # type: ignore[import-untyped]
from sqlalchemy import delete, select

from modules.errors import SetupError
from modules.library.database import Database
from modules.library.records import ProcessRecord

_PATIENCE = 3.0  # seconds the workers of a dead server get to notice


class Registry:
    """The server's own entry and those of its workers, by names that are never used twice."""

    def __init__(self, database: Database) -> None:
        """Raises nothing; `open` enters the server."""
        self._database = database
        self._lock = threading.Lock()
        self._living: set[str] = set()
        self._host = platform.node()
        self.server = uuid.uuid4().hex

    def open(self) -> list[str]:
        """Enter this server; return the names of workers that are dead for certain.

        Workers that outlived their server are waited for, then killed: two must never work on one job.
        Raises `SetupError` when another server of this machine runs on the same database.
        """
        with self._database.read() as session:
            here = list(session.scalars(select(ProcessRecord).where(ProcessRecord.host == self._host)))
        servers = {each.name: each for each in here if each.name == each.server}
        for server in servers.values():
            if server.pid != os.getpid() and _process(server) is not None:
                raise SetupError("already_running", pid=server.pid)
        orphans = [found for each in here if each.name not in servers and (found := _process(each)) is not None]
        for process in psutil.wait_procs(orphans, timeout=_PATIENCE)[1]:
            process.kill()
            process.wait()
        with self._database.write() as session:
            session.execute(delete(ProcessRecord).where(ProcessRecord.name.in_([each.name for each in here])))
            session.add(self._entry(self.server, os.getpid()))
        return [each.name for each in here if each.name not in servers]

    def enrol(self, pid: int) -> str:
        """Enter a worker process, before it gets a job; return its name."""
        name = uuid.uuid4().hex
        with self._database.write() as session:
            session.add(self._entry(name, pid))
        with self._lock:
            self._living.add(name)
        return name

    def living(self) -> list[str]:
        """Return the names of this server's workers."""
        with self._lock:
            return list(self._living)

    def strike(self, name: str) -> None:
        """Take out a worker that is gone and holds no job."""
        with self._lock:
            self._living.discard(name)
        with self._database.write() as session:
            session.execute(delete(ProcessRecord).where(ProcessRecord.name == name))

    def close(self) -> None:
        """Take out the server."""
        self.strike(self.server)

    def _entry(self, name: str, pid: int) -> ProcessRecord:
        try:
            born = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:  # dead already: the entry then says of whom
            born = 0.0
        return ProcessRecord(name=name, server=self.server, host=self._host, pid=pid, born=born)


def _process(record: ProcessRecord) -> psutil.Process | None:
    """Return the process of `record` if it lives: the same pid, born at the same time, no zombie."""
    try:
        process = psutil.Process(record.pid)
        same = abs(process.create_time() - record.born) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
        return process if same else None
    except psutil.Error:
        return None
