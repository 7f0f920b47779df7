"""Jobs that change finished pictures: settled before they wait, told of as any job is, and not done twice."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.errors import BadRequest, UnknownModel
from modules.events import PictureDone
from modules.images import metadata
from modules.library.records import JobRecord
from modules.server.server import Server
from modules.server.tracker import learnt_rate
from modules.tasks import Extras, make_extras, make_interrogate
from tests.fakes import ask
from tests.server.conftest import Queue
from tests.serving import fake_server, running, until


def task(server: Server, count: int = 1, **values: object) -> Extras:
    names = [server.inputs.keep(Image.new("RGB", (20 + place, 10), "red")) for place in range(count)]
    titles = [f"picture {place}" for place in range(count)]
    return make_extras({"pictures": names, "names": titles, "upscaler": "nearest", "scale": 2, **values})


def test_its_pictures_are_in_the_library_each_once(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        id = server.submit_extras(task(server, 2, flips=["both"]), origin="here")
        until(lambda: not server.jobs.queue())
        job = server.jobs.get(id)
        assert job is not None and (job.status, job.progress.images, job.origin) == ("done", 4, "here")
        assert isinstance(job.task, Extras) and job.task.upscaler == "Nearest"
        assert [each.path.name for each in job.pictures][::2] == ["00001-picture 0.png", "00003-picture 1.png"]
        assert {each.path.parent.parent.name for each in job.pictures} == {"extras-images"}
        told = [each.event for each in server.feed.since(0, id) if isinstance(each.event, PictureDone)]
        assert [each.image for each in told] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"upscaler": "nothing"}, "unknown_upscaler"),
        ({"upscaler": "None"}, "extras_nothing"),
        ({"pictures": ["0" * 64]}, "picture_gone"),
        ({"width": 16384, "height": 16384}, "extras_size"),
        ({"gfpgan": 1}, "face_missing"),
    ],
)
def test_what_cannot_be_done_is_not_queued(tmp_path: Path, values: dict[str, Any], key: str) -> None:
    server = fake_server(tmp_path)
    try:
        with pytest.raises(BadRequest) as refused:
            server.submit_extras(task(server, **values))
        assert refused.value.key == key and server.jobs.queue() == []
    finally:
        server.stop()


def test_one_picture_of_many_that_is_gone_does_not_keep_the_others(tmp_path: Path) -> None:
    server = fake_server(tmp_path)
    made = task(server, 2)
    server.submit_extras(made.model_copy(update={"pictures": (made.pictures[0], "0" * 64)}))
    with pytest.raises(BadRequest, match="not here any more"):
        server.submit_extras(made.model_copy(update={"pictures": ("1" * 64, "0" * 64)}))
    assert len(server.jobs.queue()) == 1
    server.stop()


def test_a_picture_is_described_by_a_job_of_its_own(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        name = server.inputs.keep(Image.new("RGB", (20, 10), "red"))
        assert server.captioners() == ["Parrot"]
        id = server.submit_interrogate(make_interrogate({"image": name, "captioner": "Parrot"}))
        until(lambda: not server.jobs.queue())
        assert server.captioned(id) == f"a picture called {name[:4]}" and server.detected(id) == ""
        with pytest.raises(UnknownModel) as refused:
            server.submit_interrogate(make_interrogate({"image": name, "captioner": "BLIP/gone"}))
        assert str(tmp_path / "models" / "BLIP") in str(refused.value)
        with pytest.raises(UnknownModel):
            server.submit_extras(task(server, caption="BLIP/gone"))
        assert len(server.jobs.recent()) == 1


def test_the_job_goes_on_after_its_worker_was_killed(tmp_path: Path) -> None:
    with running(tmp_path, seconds=0.03) as server:
        id = server.submit_extras(task(server, 4))
        until(lambda: len(server.library.of_job(id)) >= 2)
        gone = server.workers[0].pid
        os.kill(gone, signal.SIGKILL)
        until(lambda: not server.jobs.queue())
        job = server.jobs.get(id)
        assert job is not None and job.status == "done"
        assert [each.index for each in job.pictures] == [0, 1, 2, 3]
        files = sorted((tmp_path / "outputs").rglob("*.png"))
        assert [each.path.name for each in job.pictures] == [each.name for each in files]
        recipes = [found[1] for each in files if (found := metadata.read(each)) is not None]
        assert [each.index for each in recipes if each is not None] == [0, 1, 2, 3]


def test_a_stopped_job_keeps_its_pictures_and_goes_on_when_asked_to(tmp_path: Path) -> None:
    with running(tmp_path, seconds=0.03) as server:
        id = server.submit_extras(task(server, 9))
        until(lambda: len(server.library.of_job(id)) >= 1)
        assert server.jobs.interrupt(id)
        until(lambda: not server.jobs.queue())
        stopped = server.jobs.get(id)
        assert stopped is not None and stopped.status == "stopped" and 1 <= len(stopped.pictures) < 9
        assert server.jobs.retry(id)
        until(lambda: not server.jobs.queue())
        job = server.jobs.get(id)
        assert job is not None and job.status == "done" and len(job.pictures) == 9


def test_a_job_that_kills_its_worker_is_set_aside_and_the_model_stays(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        poison = server.submit_extras(task(server, names=["poison"]))
        fine = server.submit(ask("fine", steps=1))
        after = server.submit_extras(task(server))
        until(lambda: not server.jobs.queue())
        statuses = [job.status for id in (poison, fine, after) if (job := server.jobs.get(id)) is not None]
        assert statuses == ["set_aside", "done", "done"]
        assert server.workers[0].model == "starter"  # what an upscaler is called is no checkpoint


def test_the_time_it_takes_is_learnt_from_its_own_kind(queue: Queue) -> None:
    made = make_extras({"pictures": ["0" * 64], "upscaler": "Lanczos"})
    enlarging = queue.jobs.add_extras(made, "anna", pixels=1000)
    drawing = queue.jobs.add(ask("a", seed=1, model="starter"), "anna")
    with queue.database.write() as session:
        for id, rate in ((enlarging, 2.0), (drawing, 7.0)):
            record = session.query(JobRecord).filter_by(id=id).one()
            record.rate, record.finished = rate, 1.0
    with queue.database.read() as session:
        assert [learnt_rate(session, name) for name in ("extras/Lanczos", "extras/other", "other")] == [2.0, 2.0, 7.0]
