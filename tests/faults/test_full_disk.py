"""No room for the picture: the job says so, nothing half-written stays, and the next one works."""

import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from modules.errors import SaveError
from modules.request import Request
from modules.server.server import Server
from modules.server.views import Job
from tests.fakes import ask, make_limited_engine
from tests.faults.looking import half_written, once_each, pictures_in
from tests.serving import running, until

pytestmark = pytest.mark.faults
NOISE = ask("noise", width=256, height=256, steps=1)  # 192 KB as a file
FLAT = ask("flat", steps=1)  # less than 2 KB


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "easel-test", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs to be root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path, leave: int) -> Path:
    """Fill the disk but for so many bytes."""
    filler = folder / "filler"
    about = os.statvfs(folder)
    filler.write_bytes(b"x" * (about.f_bavail * about.f_bsize - leave))
    return filler


def result(server: Server, request: Request) -> Job:
    id = server.submit(request)
    until(lambda: not server.jobs.queue())
    job = server.jobs.get(id)
    assert job is not None
    return job


def says_full(job: Job, folder: Path) -> None:
    assert job.status == "failed" and job.error is not None
    assert job.error.key == "save_full"
    assert str(folder) in job.error.values["folder"]
    assert job.error.values["free"] >= 0


def test_the_disk_of_the_pictures_is_full(tmp_path: Path, small_disk: Path) -> None:
    (tmp_path / "outputs").symlink_to(small_disk)
    with running(tmp_path) as server:
        assert result(server, NOISE).status == "done"
        filler = fill(small_disk, 64 * 1024)
        says_full(result(server, NOISE), tmp_path / "outputs")
        assert half_written(tmp_path) == [] and len(pictures_in(small_disk.parent)) == 1
        assert result(server, FLAT).status == "done"
        filler.unlink()
        assert result(server, NOISE).status == "done"
        assert [each.path.name[:5] for each in server.library.recent(10)] == ["00003", "00002", "00001"]


def test_a_file_may_not_grow(tmp_path: Path) -> None:
    with running(tmp_path, engine=partial(make_limited_engine, largest=100_000)) as server:
        says_full(result(server, NOISE), tmp_path / "outputs")
        assert half_written(tmp_path) == [] and pictures_in(tmp_path) == []
        assert result(server, FLAT).status == "done"
        assert len(pictures_in(tmp_path)) == 1


def test_a_batch_keeps_what_was_saved_before(tmp_path: Path, small_disk: Path) -> None:
    (tmp_path / "outputs").symlink_to(small_disk)
    with running(tmp_path) as server:
        filler = fill(small_disk, 512 * 1024)
        job = result(server, NOISE.model_copy(update={"batch_count": 4}))
        says_full(job, tmp_path / "outputs")
        assert [each.index for each in job.pictures] == [0, 1]
        filler.unlink()
        assert server.jobs.retry(job.id)
        until(lambda: not server.jobs.queue())
        assert [each.index for each in server.library.of_job(job.id)] == [0, 1, 2, 3]
        assert len(pictures_in(tmp_path)) == 4


def test_the_disk_of_the_database_is_full(small_disk: Path) -> None:
    with running(small_disk) as server:
        assert result(server, FLAT).status == "done"
        filler = fill(small_disk, 0)
        with pytest.raises(SaveError) as caught:
            for _ in range(100):  # there may be some room left within its files
                server.jobs.cancel(server.submit(ask("x" * 10_000)))
        assert caught.value.key == "database_write"
        filler.unlink()
        assert result(server, FLAT).status == "done"


def test_a_disk_that_fills_up_in_mid_job_costs_no_job(small_disk: Path) -> None:
    with running(small_disk, seconds=0.05, lease_seconds=1.5) as server:
        id = server.submit(ask("long", steps=20, batch_count=2, width=256, height=256))
        until(lambda: server.jobs.queue()[0].progress.step > 3)
        filler = fill(small_disk, 0)
        until(lambda: not server.jobs.queue() or server.workers[0].stage == "lost")
        filler.unlink()
        until(lambda: not server.jobs.queue())
        job = server.jobs.get(id)
        assert job is not None
        if job.status == "failed":
            says_full(job, small_disk)
            assert server.jobs.retry(id)
            until(lambda: not server.jobs.queue())
        once_each(small_disk, server.jobs.recent(), server.library.recent(10))
