"""The whole server with a worker process that answers at once."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from modules.errors import BadRequest, UnknownModel
from modules.events import Loading, Note
from modules.tasks import Convert, Merge, make_detect, make_file_task
from tests.fakes import OFFERS, ask, make_no_engine
from tests.serving import fake_server, running, until


def test_from_asking_to_the_picture(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        id = server.submit(ask("a red circle", sampler="dpm++ 2m karras", steps=3, batch_count=2), "anna", "phone")
        until(lambda: not server.jobs.queue())
        job = server.jobs.get(id)
        assert job is not None and (job.status, job.owner, job.origin) == ("done", "anna", "phone")
        assert (job.request.sampler, job.request.schedule, job.request.model) == ("DPM++ 2M", "Karras", "starter")
        assert 0 <= job.request.seed < 2**32
        seeds = [each.recipe.seed for each in job.pictures]
        assert seeds == [job.request.seed, job.request.seed + 1]
        assert all(each.path.is_file() and each.owner == "anna" for each in job.pictures)
        worker = server.workers[0]
        assert (worker.name, worker.device, worker.stage, worker.model) == ("worker 1", "cpu", "ready", "starter")
        assert server.offers == OFFERS


def test_what_cannot_be_done_is_not_queued(tmp_path: Path) -> None:
    server = fake_server(tmp_path)
    with pytest.raises(BadRequest):
        server.submit(ask("a", sampler="nonsense"))
    with pytest.raises(UnknownModel):
        server.submit(ask("a", model="nonsense"))
    with pytest.raises(UnknownModel):
        server.submit(ask("a", vae="nonsense"))
    assert server.jobs.recent() == [] and server.feed.last_seq == 0
    server.stop()


def test_tiles_are_settled_before_they_are_queued_and_count_as_work(tmp_path: Path) -> None:
    server = fake_server(tmp_path)
    picture = {"image": server.inputs.keep(Image.new("RGB", (1000, 600)))}
    for tiles, key in (({"upscaler": "gone"}, "unknown_upscaler"), ({"upscaler": "nearest", "scale": 4.0}, "")):
        request = ask("a", init=picture, tiles=tiles, width=512, height=512, steps=10)
        if key:
            with pytest.raises(BadRequest) as refused:
                server.submit(request)
            assert refused.value.key == key and server.jobs.recent() == []
        else:
            (job,) = [each for each in [server.jobs.get(server.submit(request))] if each is not None]
            assert job.request.tiles is not None and job.request.tiles.upscaler == "Nearest"
    large = {"image": server.inputs.keep(Image.new("RGB", (1100, 600)))}
    with pytest.raises(BadRequest, match="4400×2400 pixels"):
        server.submit(ask("a", init=large, tiles={"upscaler": "None", "scale": 4.0}))
    server.stop()


def test_interrupt_keeps_the_pictures_made_and_leaves_the_others(tmp_path: Path) -> None:
    with running(tmp_path, seconds=0.02) as server:
        first = server.submit(ask("first", steps=10, batch_count=50))
        second = server.submit(ask("second", steps=1))
        until(lambda: len(server.library.of_job(first)) == 1)
        assert server.jobs.interrupt(first)
        until(lambda: not server.jobs.queue())
        stopped, done = server.jobs.get(first), server.jobs.get(second)
        assert stopped is not None and stopped.status == "stopped" and 1 <= len(stopped.pictures) < 5
        assert done is not None and done.status == "done"
        assert server.feed.since(0, first)[-1].event.kind == "stopped"
        assert server.workers[0].pid  # the same process all along
        assert [each.event.kind for each in server.feed.since(0) if each.event.kind == "queued"] == ["queued"] * 2


def test_skip_goes_on_with_the_next_batch(tmp_path: Path) -> None:
    with running(tmp_path, seconds=0.02) as server:
        id = server.submit(ask("first", steps=150, batch_count=2))
        until(lambda: server.jobs.queue()[0].progress.step > 0)
        assert server.jobs.skip(id)
        until(lambda: not server.jobs.queue())
        job = server.jobs.get(id)
        assert job is not None and [each.index for each in job.pictures] == [1]
        assert job.status == "done" and job.notes == (("skipped", {"first": 1, "last": 1}),)
        assert Note(key="skipped", values={"first": 1, "last": 1}) in [each.event for each in server.feed.since(0)]


@pytest.mark.parametrize(("prompt", "key"), [("fail", "broken_picture"), ("bug", "unexpected")])
def test_a_job_that_fails_says_why_and_the_next_runs(tmp_path: Path, prompt: str, key: str) -> None:
    with running(tmp_path) as server:
        bad, good = server.submit(ask(prompt)), server.submit(ask("good", steps=1))
        until(lambda: not server.jobs.queue())
        failed, done = server.jobs.get(bad), server.jobs.get(good)
        assert failed is not None and failed.status == "failed" and failed.error is not None
        assert failed.error.key == key and "Traceback" in failed.error.detail
        assert done is not None and done.status == "done"


def test_the_model_is_loaded_once(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        loads = []
        for model in ("starter", "starter", "dreams"):
            id = server.submit(ask("a", steps=1, model=model))
            after = server.feed.last_seq
            until(lambda: not server.jobs.queue())
            loads.append(server.workers[0].model)
            assert not any(isinstance(each.event, Loading) for each in server.feed.since(after, id))
        assert loads == ["starter", "starter", "dreams"]


def test_an_engine_that_cannot_start_is_shown_and_the_job_waits(tmp_path: Path) -> None:
    with running(tmp_path, engine=make_no_engine) as server:
        id = server.submit(ask("a"))
        until(lambda: server.workers[0].stage == "lost")
        assert "no module named torch" in server.workers[0].detail
        job = server.jobs.get(id)
        assert job is not None and (job.status, job.attempts) == ("queued", 0)


def test_stopping_takes_no_time_and_leaves_no_process(tmp_path: Path) -> None:
    with running(tmp_path, seconds=0.05) as server:
        server.submit(ask("a", steps=150))
        until(lambda: server.jobs.queue()[0].status == "running")
        begun = time.monotonic()
    assert time.monotonic() - begun < 5
    assert not Path(f"/proc/{server.workers[0].pid}").exists()


def test_a_picture_made_outside_is_taken_in_at_the_start(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.submit(ask("a", steps=1))
        until(lambda: not server.jobs.queue())
    for each in (tmp_path / ".easel").iterdir():
        each.unlink()
    with running(tmp_path) as server:
        until(lambda: len(server.library.recent(10)) == 1)


def test_the_server_runs_without_torch() -> None:
    forbidden = "import sys; sys.modules['torch'] = sys.modules['diffusers'] = sys.modules['transformers'] = None\n"
    code = forbidden + "import modules.server.server"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_a_file_is_made_in_the_queue(tmp_path: Path) -> None:
    with running(tmp_path, seconds=0.02) as server:
        id = server.submit_file(make_file_task(Convert, {"model": "starter", "name": "copy"}), "anna")
        until(lambda: (job := server.jobs.get(id)) is not None and job.progress.step > 2)
        until(lambda: not server.jobs.queue())
        job = server.jobs.get(id)
        assert job is not None and (job.status, job.pictures) == ("done", ())
        assert job.task == make_file_task(Convert, {"model": "starter", "name": "copy"})
        assert job.notes == (("file_made", {"name": "copy.safetensors"}),)
        again = server.submit_file(make_file_task(Merge, {"model": "starter", "method": "none", "name": "hang"}))
        until(lambda: (job := server.jobs.get(again)) is not None and job.status == "running")
        kill = server.workers[0].pid
        os.kill(kill, signal.SIGKILL)  # a death counts, and the file is made anew
        until(lambda: (job := server.jobs.get(again)) is not None and job.attempts == 1)
        assert server.jobs.cancel(again)
        until(lambda: (job := server.jobs.get(again)) is not None and job.status == "stopped", 30)


def test_what_cannot_be_merged_is_not_queued(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        for values in (
            {"model": "starter"},  # a weighted sum of one
            {"model": "starter", "second": "starter", "name": "a/b"},
            {"model": "starter", "second": "starter", "name": ".."},
            {"model": "starter", "second": "starter", "discard": "("},
            {"model": "starter", "second": "starter", "multiplier": 9},
        ):
            with pytest.raises(BadRequest):
                server.submit_file(make_file_task(Merge, values))
        with pytest.raises(UnknownModel):
            server.submit_file(make_file_task(Merge, {"model": "starter", "second": "nonsense"}))
        assert server.jobs.recent() == []


def test_a_hint_is_drawn_beside_pictures_and_named(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        until(lambda: server.workers[0].stage == "ready")
        name = server.inputs.keep(Image.new("RGB", (16, 16), "white"))
        with pytest.raises(BadRequest, match="no preprocessor named magic"):
            server.submit_detect(make_detect({"image": name, "preprocessor": "magic"}))
        with pytest.raises(BadRequest, match="not here any more"):
            server.submit_detect(make_detect({"image": "0" * 64, "preprocessor": "canny"}))
        assert server.jobs.recent() == []
        id = server.submit_detect(make_detect({"image": name, "preprocessor": "Canny"}), "anna")
        assert server.detected("nonsense") == ""
        until(lambda: not server.jobs.queue())
        job = server.jobs.get(id)
        assert job is not None and job.status == "done" and job.owner == "anna"
        assert job.task == make_detect({"image": name, "preprocessor": "canny"})
        assert server.detected(id) == name
