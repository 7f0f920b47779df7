"""The server dies: its workers go with it, and a new one goes on with the queue by itself."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from modules.errors import SetupError
from modules.server.server import Server
from modules.server.views import Job
from tests.fakes import ask
from tests.faults.looking import once_each, pictures_in
from tests.serving import fake_server, running, until

pytestmark = pytest.mark.faults
ROOT = Path(__file__).parents[2]


@pytest.fixture
def queued(tmp_path: Path) -> Iterator[Server]:
    """A server that was not started, with a full queue: a view of what the others do."""
    server = fake_server(tmp_path)
    for place in range(8):
        server.submit(ask(f"picture {place}", steps=3, batch_count=2))
    yield server
    server.stop()


def there_are(folder: Path, pictures: int) -> bool:
    return len(pictures_in(folder)) >= pictures


def serve(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.serve", str(folder), "0.03"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "serving\n"
    return process


def test_the_queue_goes_on_by_itself(tmp_path: Path, queued: Server) -> None:
    chance = random.Random()
    for pictures in (3 + chance.randint(0, 3), 9 + chance.randint(0, 3)):
        process = serve(tmp_path)
        workers = psutil.Process(process.pid).children(recursive=True)
        until(partial(there_are, tmp_path, pictures))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not psutil.wait_procs(workers, timeout=5)[1], "workers outlived their server"
    process = serve(tmp_path)
    until(lambda: not queued.jobs.queue())
    once_each(tmp_path, queued.jobs.recent(100), queued.library.recent(100))
    with pytest.raises(SetupError) as caught:  # while it runs, no second one may
        queued.start()
    assert caught.value.key == "already_running" and str(process.pid) in str(caught.value)
    process.kill()
    process.wait()


def test_started_paused_nothing_runs_until_a_person_says_so(tmp_path: Path, queued: Server) -> None:
    with running(tmp_path, start_paused=True) as server:
        until(lambda: server.workers[0].stage == "ready")
        waiting = server.jobs.queue()
        assert server.jobs.paused and [each.status for each in waiting] == ["queued"] * 8
        for job in waiting[1:]:
            server.jobs.cancel(job.id)
        assert pictures_in(tmp_path) == []
        server.jobs.pause(False)
        until(lambda: not server.jobs.queue())
        assert {each.job for each in server.library.recent(10)} == {waiting[0].id}


def test_stopping_gives_the_job_back_without_blame(tmp_path: Path) -> None:
    for _ in range(3):  # more often than a job's worker may die
        with running(tmp_path, seconds=0.05) as server:
            if not server.jobs.recent():
                server.submit(ask("long", steps=150))
            until(lambda: server.jobs.queue()[0].progress.step > 0)
        (job,) = fake_jobs(tmp_path)
        assert (job.status, job.attempts) == ("queued", 0)


def fake_jobs(folder: Path) -> list[Job]:
    server = fake_server(folder)
    try:
        return list(server.jobs.queue())
    finally:
        server.stop()
