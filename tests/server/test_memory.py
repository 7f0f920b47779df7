"""What workers have in memory is seen, and changed, from the server."""

from pathlib import Path
from typing import cast

import pytest

from modules.errors import UnknownModel
from modules.events import Note
from modules.model_manager.model_file import ModelFile
from modules.model_manager.resident import Resident
from modules.server.server import Server
from tests.fake_catalog import FakeCatalog
from tests.fakes import ask
from tests.serving import running, until


def names(server: Server) -> list[str]:
    return [each.name for each in server.workers[0].resident]


def test_the_server_knows_what_a_worker_has_loaded_and_how_large_it_is(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        assert server.workers[0].resident == ()
        server.submit(ask("a", steps=1, model="starter"))
        server.submit(ask("a", steps=1, model="dreams"))
        until(lambda: not server.jobs.queue())
        assert server.workers[0].resident == tuple(Resident(each, "sd1", 1000, "cpu") for each in ("starter", "dreams"))


def test_a_model_is_loaded_and_unloaded_without_a_job(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.load("dreams")
        until(lambda: names(server) == ["dreams"])
        server.load("starter", worker="worker 2")  # there is none: nothing happens
        server.load("starter", worker="worker 1")
        until(lambda: names(server) == ["dreams", "starter"])
        until(lambda: server.workers[0].stage == "ready")
        assert server.workers[0].model == "starter"
        server.unload("starter")
        until(lambda: names(server) == ["dreams"])
        assert server.workers[0].model == "dreams"
        server.unload()
        until(lambda: not names(server))
        assert server.workers[0].model == ""


def test_what_cannot_be_loaded_is_told_and_the_worker_goes_on(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        with pytest.raises(UnknownModel):
            server.load("nonsense")
        cast(FakeCatalog, server.catalog).every.append(ModelFile("broken", Path("broken")))
        server.load("broken")
        until(lambda: server.workers[0].problem)
        problem = server.workers[0].problem
        assert problem is not None and (problem.key, problem.values) == ("not_safetensors", {"file": "broken"})
        server.load("starter")
        until(lambda: names(server) == ["starter"])
        until(lambda: server.workers[0].problem is None)


def test_an_order_waits_for_the_job_at_work(tmp_path: Path) -> None:
    with running(tmp_path, seconds=0.02) as server:
        server.submit(ask("a", steps=20, model="starter"))
        until(lambda: names(server) == ["starter"])
        server.unload("starter")
        assert names(server) == ["starter"] and server.jobs.queue()
        until(lambda: not names(server))
        assert server.jobs.recent()[0].status == "done"


def test_the_worker_learns_which_model_the_next_job_wants(tmp_path: Path) -> None:
    with running(tmp_path, start_paused=True) as server:
        asking = server.submit(ask("what comes?", steps=1, model="starter"))
        server.submit(ask("a", steps=1, model="dreams"))
        server.jobs.pause(False)
        until(lambda: not server.jobs.queue())
        notes = [each.event for each in server.feed.since(0, asking) if isinstance(each.event, Note)]
        assert notes == [Note(key="foreseen", values={"model": "dreams"})]
