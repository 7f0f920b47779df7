"""What a page is sent: everything when it has seen nothing, and afterwards only what changed."""

import base64

import gradio as gr
import pytest

from modules.events import Preview, Step
from modules.result import placed
from modules.server.server import Server
from modules.ui.page_words import PageWords
from modules.ui.panel import panel
from modules.ui.watch import BUSY, IDLE, Choice, Seen, Watch, packed, told
from modules.words import load_words
from tests.ui.conftest import put_job, put_picture

NAMES = ("progress", "stage", "strip", "parameters", "queue", "health")


@pytest.fixture
def watch(server: Server) -> Watch:
    with gr.Blocks():
        return Watch(
            server,
            PageWords(),
            gr.Textbox(),
            gr.Textbox(),
            gr.Textbox(),
            gr.Timer(),
            {name: panel(name) for name in NAMES},
            {"sampler": gr.Dropdown([])},
        )


def look(watch: Watch, choice: Choice | None = None, seen: Seen | None = None) -> tuple[dict[str, object], Seen]:
    """What a page is sent, by name, and what it has seen then."""
    updates = watch.look(choice or Choice(), seen or Seen(), watch.words.languages["en"])
    named = {name: updates[part] for name, part in {**watch.panels, **watch.lists}.items() if part in updates}
    if watch.timer in updates:
        named["pace"] = updates[watch.timer]["value"]
    return named, told(Seen, updates[watch.seen]) if updates else seen or Seen()


def begin(server: Server, prompt: str = "a red circle") -> str:
    """Put a job to work, without a worker."""
    put_job(server, prompt)
    taken = server._claims.take("worker 1", "worker 1")
    assert taken is not None
    return taken.id


def test_a_page_that_has_seen_nothing_is_sent_everything_and_then_nothing(watch: Watch) -> None:
    put_picture(watch.server)
    sent, seen = look(watch)
    assert sent.keys() == {*NAMES, "sampler", "pace"}
    assert sent["pace"] == IDLE
    assert look(watch, seen=seen)[0] == {}


def test_only_what_changed_is_sent(watch: Watch) -> None:
    _, seen = look(watch)
    put_job(watch.server)
    sent, seen = look(watch, seen=seen)
    assert sent.keys() == {"progress", "queue", "pace"}
    assert sent["pace"] == BUSY
    assert look(watch, seen=seen)[0] == {}


def test_progress_preview_and_picture_of_the_job_at_work(watch: Watch) -> None:
    server = watch.server
    older = put_picture(server, seed=1, prompt="older")
    job = begin(server)
    webp = base64.b64encode(b"RIFF").decode()
    server.jobs.tell(job, Preview(image=0, webp=webp))
    server.jobs.tell(job, Step(image=0, batch=1, images=1, step=5, steps=20))
    sent, seen = look(watch)
    assert seen.job == job
    assert 'aria-valuenow="25"' in str(sent["progress"]) and "Step 5/20" in str(sent["progress"])
    assert f"data:image/webp;base64,{webp}" in str(sent["stage"])
    assert sent["parameters"] == ""
    chosen, seen = look(watch, Choice(picture=older.id), seen)
    assert f"/easel/pictures/{older.id}?" in str(chosen["stage"]) and "older" in str(chosen["parameters"])
    assert seen.job == job  # whoever looks at an older picture still interrupts what runs
    done = put_picture(server, seed=2, job=job)
    server._claims.stopped("worker 1", job)
    assert look(watch)[1].picture == done.id


def test_the_page_follows_what_runs_unless_told_otherwise(watch: Watch) -> None:
    server = watch.server
    first = begin(server, "first")
    second = put_job(server, "second")
    assert look(watch)[1].job == first
    assert look(watch, Choice(job=second))[1].job == first  # generated here, but it only waits
    assert look(watch, Choice(job=second, held=True))[1].job == second
    server._claims.stopped("worker 1", first)
    assert look(watch)[1].job == second
    assert look(watch, Choice(job="gone"))[1].job == second


def test_the_queue_panel_tells_order_and_pause(watch: Watch) -> None:
    server = watch.server
    first, second = put_job(server, "first <b>"), put_job(server, "second", batch_count=2)
    server.jobs.move(second, 1)
    server.jobs.pause(True)
    html = str(look(watch)[0]["queue"])
    assert html.index(f'data-job="{second}"') < html.index(f'data-job="{first}"')
    assert "first &lt;b&gt;" in html and "Pictures: 2" in html and "Chrome on Linux" in html
    assert 'data-act="resume"' in html and "Paused." in html


def test_a_failed_job_says_why(watch: Watch) -> None:
    job = begin(watch.server)
    watch.server._claims.fail("worker 1", job, "broken_decode", {"dtype": "float16"}, "Traceback <x>")
    html = str(look(watch)[0]["progress"])
    assert "float16" in html and "Traceback &lt;x&gt;" in html and 'data-act="retry"' in html


@pytest.mark.parametrize("text", ["", "null", "[]", "{", '{"job": 5, "picture": "x", "held": 1}', '{"other": 1}'])
def test_what_a_page_makes_up_is_left_out(text: str) -> None:
    assert told(Choice, text) == Choice()


def test_a_choice_survives_the_way_there_and_back() -> None:
    for kept in (Choice("j", True, 3), Seen("m", "j", 4, {"stage": "x"})):
        assert told(type(kept), packed(kept)) == kept


def test_what_was_interrupted_comes_last_and_is_shown(server: Server, watch: Watch) -> None:
    id = put_job(server)
    for index in (0, -2):
        put_picture(server, seed=index + 5, job=id, index=index)
    view = watch._view(Choice(id, held=True), server.jobs.queue(), load_words("en"))
    shown = server.library.get(view.picture)
    assert shown is not None and shown.index == -2
    assert sorted((1, -1, -3, 0, -2), key=placed) == [-1, 0, 1, -2, -3]
