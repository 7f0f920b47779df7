"""The tab that shows what a picture says of itself, sends it on, and makes it again to compare."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import gradio as gr

from modules.api.pictures import picture_url
from modules.errors import BadRequest, EaselError
from modules.hooks import hookimpl
from modules.images.metadata import Inside, inside
from modules.server.again import changes, compared, request_again
from modules.server.recall import Recalled, recall
from modules.server.views import Job
from modules.ui import pieces, pnginfo_panel
from modules.ui.device import device_of
from modules.ui.fields import Form
from modules.ui.listeners import QUEUED, QUIET
from modules.ui.markup import Html
from modules.ui.opened import when_opened
from modules.ui.page_words import explain
from modules.ui.panel import panel
from modules.ui.pnginfo_panel import NAME
from modules.ui.recalling import picture_of
from modules.ui.tab import Page, Tab
from modules.ui.watch import BUSY, IDLE, OWNER
from modules.ui.well import Well
from modules.words import Words

FIELD = "image"


@hookimpl
def tabs() -> Sequence[Tab]:
    """Offer this tab."""
    return [Tab(NAME, 58, build)]


def build(page: Page) -> None:
    """Build the tab."""
    PngInfo(page).connect()


class PngInfo:
    """The components of the tab, and what happens when they are used."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.words = page.words
        self.server = page.server
        self.form = page.forms[NAME] = Form(NAME)
        # The job this page watches, and what it has been shown of it, travel with it.
        self.job = gr.Textbox("", visible=False)
        self.seen = gr.Textbox("", visible=False)
        self.timer = gr.Timer(IDLE)
        self.arrival = gr.Textbox("", visible="hidden", elem_id=f"{NAME}_arrival")  # what another tab sends
        with gr.Column(elem_id=NAME, min_width=0), gr.Row(elem_classes="halves"):
            with gr.Column(elem_classes="asked", min_width=0):
                self.well = Well(self.server, self.words, self.form, FIELD, "init_picture")
                self.offer = panel(f"{NAME}_again")
                self.result = panel(f"{NAME}_result")
            with gr.Column(elem_classes="got", min_width=0):
                self.about = panel(f"{NAME}_about")

    @property
    def watched(self) -> list[Any]:
        """Return what depends on how the job is."""
        return [self.job, self.seen, self.timer, self.result]

    def connect(self) -> None:
        """Connect the components to their handlers."""
        field = self.well.field
        self.well.connect(lambda name: self.keep(**{FIELD: name}))
        field.change(self.show, field, [self.about, self.offer, *self.watched], trigger_mode="always_last", **QUIET)
        self.arrival.change(self.arrive, self.arrival, field, **QUIET)
        self.offer.act(self.make, field, self.watched, trigger_mode="once", **QUEUED)
        self.result.act(self.act, [self.job, field], self.watched, trigger_mode="multiple", **QUEUED)
        self.timer.tick(self.look, [self.job, self.seen, field], self.watched, **QUIET)
        self.page.timers[NAME] = self.timer
        when_opened(self.load, [field]).success(None, None, None, js=f"() => window.easel.restore('{NAME}')", **QUIET)

    def load(self) -> Any:
        """Show a fresh page the picture that was looked at last."""
        name = str(self.server.forms.load(OWNER, NAME).get(FIELD) or "")
        return name if self.server.inputs.has(name) else gr.skip()

    def keep(self, **values: Any) -> None:
        """Keep which picture is looked at, and which job makes it again."""
        self.server.forms.update(OWNER, NAME, values)

    def arrive(self, told: str) -> Any:
        """Take a picture that another tab sends."""
        row = picture_of(told, self.server)
        return gr.skip() if row is None else self.server.inputs.put(row.path.read_bytes())

    def show(self, name: str, request: gr.Request) -> Any:
        """Show what the picture says, and whether it can be made again."""
        words = self.words.heard(request)
        found, recalled = self._read(name)
        shown = pnginfo_panel.about(name if self.server.inputs.has(name) else "", found.texts, recalled, words)
        kept = self.server.forms.load(OWNER, NAME)
        job = self.server.jobs.get(str(kept.get("job", ""))) if name and kept.get("of") == name else None
        watched = ["", "", gr.Timer(IDLE), ""] if job is None else self._watched(job.id, "", name, words)
        return shown, self._offered(recalled, words), *watched

    def make(self, name: str, request: gr.Request) -> Any:
        """Queue the job that makes the picture again."""
        words = self.words.heard(request)
        _, recalled = self._read(name)
        try:
            asked = request_again(recalled, self.server, self.server.inputs)
            origin = device_of(request.headers.get("user-agent", ""), words)
            job = self.server.submit(asked, OWNER, origin)
        except EaselError as error:
            gr.Warning(pieces.plain(explain(error, words)))
            return [gr.skip()] * len(self.watched)
        self.keep(job=job, of=name)
        return self._watched(job, "", name, words)

    def act(self, job: str, name: str, event: gr.EventData, request: gr.Request) -> Any:
        """Do what a button in the progress asks for."""
        asked = dict(event._data or {}).get("act")
        if asked in ("cancel", "interrupt"):
            self.server.jobs.cancel(job)
        elif asked == "retry":
            self.server.jobs.retry(job)
        return self._watched(job, "", name, self.words.heard(request))

    def look(self, job: str, seen: str, name: str, request: gr.Request) -> Any:
        """Answer a page's question how its job is."""
        return self._watched(job, seen, name, self.words.heard(request))

    def _watched(self, id: str, seen: str, name: str, words: Words) -> list[Any]:
        """Return job, mark, timer and result; nothing where the page has been shown that already."""
        job = self.server.jobs.get(id) if id else None
        if job is None:
            return [gr.skip()] * len(self.watched)
        live = job.status in ("queued", "running")
        shown = pnginfo_panel.waiting(job, words) if live or not job.pictures else None
        mark = blake2b(f"{name} {job.status} {shown}".encode(), digest_size=9).hexdigest()
        if mark == seen:
            return [gr.skip()] * len(self.watched)
        return [id, mark, gr.Timer(BUSY if live else IDLE), self._verdict(job, name, words) if shown is None else shown]

    def _verdict(self, job: Job, name: str, words: Words) -> Html:
        """Compare the picture with its copy. This is done once for each page that looks on."""
        row = job.pictures[0]
        try:
            found = compared(self.server.inputs, name, row.path)
        except BadRequest as error:
            return pieces.plain(explain(error, words))
        _, recalled = self._read(name)
        return pnginfo_panel.verdict(name, picture_url(row), found, changes(recalled, row.recipe), words)

    def _read(self, name: str) -> tuple[Inside, Recalled]:
        found = inside(self.server.inputs.file(name)) if self.server.inputs.has(name or "") else None
        return (found or Inside()), (recall(found, self.server) if found else Recalled())

    def _offered(self, recalled: Recalled, words: Words) -> Html:
        if not recalled.has_parameters:
            return Html("")
        try:
            request_again(recalled, self.server, self.server.inputs)
        except EaselError as error:
            return pnginfo_panel.again(explain(error, words), words)
        return pnginfo_panel.again("", words)
