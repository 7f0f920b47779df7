"""The buttons inside the panels."""

import pytest

from modules.errors import BadRequest
from modules.server.server import Server
from modules.ui.acts import perform
from modules.ui.watch import Choice
from tests.ui.conftest import put_job


def test_what_waits_is_moved_and_cancelled(server: Server) -> None:
    first, second = put_job(server, "first"), put_job(server, "second")
    perform(server, Choice(), {"act": "up", "job": second, "place": "2"})
    assert [job.id for job in server.jobs.queue()] == [second, first]
    perform(server, Choice(), {"act": "down", "job": second, "place": "1"})
    assert [job.id for job in server.jobs.queue()] == [first, second]
    perform(server, Choice(), {"act": "cancel", "job": first})
    assert [job.id for job in server.jobs.queue()] == [second]


def test_the_queue_is_paused_resumed_and_cleared(server: Server) -> None:
    put_job(server)
    perform(server, Choice(), {"act": "pause"})
    assert server.jobs.paused
    perform(server, Choice(), {"act": "resume"})
    assert not server.jobs.paused
    perform(server, Choice(), {"act": "clear"})
    assert server.jobs.queue() == []


def test_a_stopped_job_is_tried_again_and_watched(server: Server) -> None:
    job = put_job(server)
    perform(server, Choice(), {"act": "cancel", "job": job})
    assert perform(server, Choice(picture=3), {"act": "retry", "job": job}) == Choice(job)
    assert [each.id for each in server.jobs.queue()] == [job]


def test_choosing_changes_only_the_choice(server: Server) -> None:
    assert perform(server, Choice("j", held=True), {"act": "pick", "picture": "4"}) == Choice("j", True, 4)
    assert perform(server, Choice("j", True, 4), {"act": "pick", "picture": "0"}) == Choice("j")
    assert perform(server, Choice("j"), {"act": "show", "job": "k"}) == Choice("k", held=True)


@pytest.mark.parametrize("job", ["", "none", "../x"])
def test_a_job_there_is_none_of_changes_nothing(server: Server, job: str) -> None:
    for act in ("interrupt", "cancel", "retry", "up", "down"):
        perform(server, Choice(), {"act": act, "job": job, "place": "²"})


def test_an_act_there_is_none_of_is_refused(server: Server) -> None:
    with pytest.raises(BadRequest):
        perform(server, Choice(), {"act": "format"})
