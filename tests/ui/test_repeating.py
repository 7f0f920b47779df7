"""Generating forever on the page: begun with Generate, shown while it goes on, ended by Interrupt or its own button."""

from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from modules.errors import BadRequest
from modules.server.forever import Round
from modules.server.server import Server
from modules.ui import repeating
from modules.ui.acts import perform
from modules.ui.app import build_app
from modules.ui.maker import Maker
from modules.ui.page_words import PageWords
from modules.ui.watch import OWNER, Choice, Seen, packed

VISIT = cast(gr.Request, SimpleNamespace(headers={}))


@pytest.fixture
def makers(server: Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, Maker]:
    """The tabs of a page that is built as it is served, by name."""
    made: dict[str, Maker] = {}
    init = Maker.__init__

    def noted(self: Maker, page: Any, name: str) -> None:
        init(self, page, name)
        made[name] = self

    monkeypatch.setattr(Maker, "__init__", noted)
    build_app(server)
    return made


def click(maker: Maker, forever: str = "on", **values: object) -> str:
    """Press Generate on a form with these values; return the job's id."""
    known = {job.id for job in maker.server.jobs.queue()}
    maker.add("{}", "{}", VISIT, forever, **{**maker.form.defaults(), **values})
    (id,) = {job.id for job in maker.server.jobs.queue()} - known
    return id


def test_generate_alone_begins_nothing(makers: dict[str, Maker], server: Server) -> None:
    click(makers["txt2img"], "", prompt="once")
    assert server.forever.of(OWNER) is None


def test_the_next_round_is_of_the_form_as_it_is_kept_by_then(makers: dict[str, Maker], server: Server) -> None:
    maker = makers["txt2img"]
    first = click(maker, prompt="a red circle", seed="-1", steps=7)
    now = server.forever.of(OWNER)
    assert now is not None and (now.tab, now.jobs) == ("txt2img", (first,))
    maker.save(prompt="a blue star")
    (second,) = maker.again({}, "here")
    job = server.jobs.get(second)
    assert job is not None and (job.request.prompt, job.request.steps, job.origin) == ("a blue star", 7, "here")


def test_a_tab_that_has_no_row_on_top_reads_the_checkpoint_that_is_chosen_there(
    makers: dict[str, Maker], server: Server
) -> None:
    click(makers["controlnet"], prompt="a cat", model="dreams")
    makers["txt2img"].save(model="starter")
    job = server.jobs.get(makers["controlnet"].again({}, "")[0])
    assert job is not None and job.request.model == "starter"


def test_interrupt_ends_it_whether_a_job_runs_or_waits(makers: dict[str, Maker], server: Server) -> None:
    maker = makers["txt2img"]
    job = click(maker, prompt="waits")
    maker.stop_job("{}", packed(Seen(job=job)), VISIT)
    assert server.forever.of(OWNER) is None
    server.jobs.clear()
    job = click(maker, prompt="runs")
    assert server._claims.take("w", "worker 1") is not None
    maker.stop_job("{}", packed(Seen(job=job)), VISIT)
    assert server.forever.of(OWNER) is None and server._claims.wish("w", job) == "stop"


def test_interrupting_another_job_leaves_it(makers: dict[str, Maker], server: Server) -> None:
    other = click(makers["txt2img"], "", prompt="another")
    assert server._claims.take("w", "worker 1") is not None
    click(makers["txt2img"], prompt="forever")
    makers["txt2img"].stop_job("{}", packed(Seen(job=other)), VISIT)
    assert server.forever.of(OWNER) is not None


def test_the_line_says_it_and_its_button_ends_it(makers: dict[str, Maker], server: Server) -> None:
    job = click(makers["txt2img"], prompt="a red circle")
    shown = str(makers["txt2img"].watch.look(Choice(), Seen(), PageWords().languages["en"]))
    assert "Generating forever: Text to picture. Jobs finished: 0." in shown
    perform(server, Choice(job), {"act": "end_forever"})
    assert server.forever.of(OWNER) is None and len(server.jobs.queue()) == 1


def test_what_it_waits_for_is_said(server: Server) -> None:
    words = PageWords().languages
    problem = BadRequest("number", field="steps", value=0, least=1, most=150)
    waits = Round("txt2img", ("1",), 4, problem)
    assert "The next one begins once the form is all right." in repeating.line(waits, words["en"])
    assert "끝난 작업: 4개" in repeating.line(waits, words["ko"])
    assert repeating.line(None, words["en"]) == ""
