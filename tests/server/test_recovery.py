"""Who is at work on a database: told from the dead, and from another process that has the same number now."""

import os
import subprocess
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from modules.errors import SetupError
from modules.library.database import Database
from modules.library.records import ProcessRecord
from modules.server.recovery import Registry


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'easel.db'}")


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])


def entered(database: Database, name: str, pid: int, server: str = "") -> None:
    registry = Registry(database)
    with database.write() as session:
        entry = registry._entry(name, pid)
        entry.server = server or name
        session.add(entry)


def test_a_new_database_has_no_dead(database: Database) -> None:
    registry = Registry(database)
    assert registry.open() == []
    name = registry.enrol(os.getpid())
    assert registry.living() == [name]
    registry.strike(name)
    registry.close()
    with database.read() as session:
        assert session.query(ProcessRecord).count() == 0


def test_workers_that_outlived_their_server_are_ended(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modules.server.recovery._PATIENCE", 0.1)
    server, worker = sleeper(), sleeper()
    entered(database, "server", server.pid)
    entered(database, "worker", worker.pid, "server")
    server.kill()
    server.wait()
    assert Registry(database).open() == ["worker"]
    assert not psutil.pid_exists(worker.pid)
    worker.wait()


def test_another_server_is_not_disturbed(database: Database) -> None:
    server, worker = sleeper(), sleeper()
    entered(database, "server", server.pid)
    entered(database, "worker", worker.pid, "server")
    with pytest.raises(SetupError) as caught:
        Registry(database).open()
    assert caught.value.key == "already_running" and str(server.pid) in str(caught.value)
    assert worker.poll() is None
    for each in (server, worker):
        each.kill()
        each.wait()


def test_a_number_that_belongs_to_another_process_now_is_dead(database: Database) -> None:
    innocent = sleeper()
    entered(database, "server", innocent.pid)
    entered(database, "worker", innocent.pid, "server")
    with database.write() as session:
        for record in session.query(ProcessRecord):
            record.born -= 1000.0
    assert Registry(database).open() == ["worker"]
    assert innocent.poll() is None
    innocent.kill()
    innocent.wait()
