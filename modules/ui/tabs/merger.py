"""The tab that makes checkpoints of checkpoints: merges, and the same weights in another form."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.errors import BadRequest, EaselError
from modules.hooks import hookimpl
from modules.server.views import Job
from modules.tasks import FORMS, METHODS, Convert, FileTask, Merge, make_file_task
from modules.ui import pieces, result_panel, top
from modules.ui.device import device_of
from modules.ui.listeners import QUEUED, QUIET
from modules.ui.opened import when_opened
from modules.ui.page_words import explain
from modules.ui.panel import panel
from modules.ui.tab import Page, Tab
from modules.ui.watch import BUSY, OWNER

NAME = "merger"
SEARCHED = 50  # jobs that a fresh page looks for the last merge in
YAML_FROM = ("any", "second", "third", "none")


@hookimpl
def tabs() -> Sequence[Tab]:
    """Offer this tab."""
    return [Tab(NAME, 55, build)]


def build(page: Page) -> None:
    """Build the tab."""
    Merger(page).connect()


class Merger:
    """The components of the tab, and what happens when they are used."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.words = page.words
        self.server = page.server
        # Which job the page follows travels with it; the server keeps nothing about a page.
        self.job = gr.Textbox("", visible=False)
        self.timer = gr.Timer(BUSY, active=False)
        with gr.Column(elem_id=NAME, min_width=0), gr.Row(elem_classes="halves"):
            with gr.Column(elem_classes="card", min_width=0):
                self._merge()
            with gr.Column(elem_classes="card", min_width=0):
                self._outcome()
                self._convert()

    def _merge(self) -> None:
        words = self.words
        gr.Markdown(words("merger_merge"), elem_classes="title")
        self.parts: dict[str, Any] = {}
        for name in ("model", "second", "third"):
            self.parts[name] = self._list(name, [], label=words(f"merger_{name}"), visible=name != "third")
        self.parts["method"] = gr.Radio(
            [(words(f"merger_method_{each}"), each) for each in METHODS],
            value="sum",
            label=words("merger_method"),
            elem_id="merger_method",
        )
        self.formula = gr.Markdown(words("merger_formula_sum"), elem_classes="formula")
        self.parts["multiplier"] = gr.Slider(
            0, 1, 0.3, step=0.05, label=words("merger_multiplier"), elem_id="merger_multiplier"
        )
        self.parts["name"] = gr.Textbox(
            label=words("merger_name"), placeholder=words("merger_name_hint"), max_lines=1, elem_id="merger_name"
        )
        self.parts["half"] = gr.Checkbox(False, label=words("merger_half"), elem_id="merger_half")
        with gr.Accordion(words("merger_more"), open=False):
            self.parts["vae"] = self._list("vae", [], label=words("merger_vae"))
            self.parts["discard"] = gr.Textbox(
                label=words("merger_discard"), placeholder=r"^model_ema\.", max_lines=1, elem_id="merger_discard"
            )
            self.parts["yaml_from"] = gr.Radio(
                [(words(f"merger_yaml_{each}"), each) for each in YAML_FROM],
                value="any",
                label=words("merger_yaml_from"),
                elem_id="merger_yaml_from",
            )
            self.parts["keep_metadata"] = gr.Checkbox(True, label=words("merger_keep_metadata"))
            self.parts["add_recipe"] = gr.Checkbox(True, label=words("merger_add_recipe"))
            self.parts["metadata"] = gr.Textbox(
                "{}", label=words("merger_metadata"), lines=2, max_lines=8, elem_id="merger_metadata"
            )
        self.merge = gr.Button(words("merger_start"), variant="primary", elem_id="merger_start")

    def _outcome(self) -> None:
        self.progress = panel("merger_progress")

    def _convert(self) -> None:
        words = self.words
        gr.Markdown(words("merger_convert"), elem_classes="title")
        self.whole: dict[str, Any] = {
            "model": self._list("convert_model", [], label=words("model")),
            "form": gr.Radio(
                [(words(f"merger_form_{each}"), each) for each in FORMS],
                value="safetensors",
                label=words("merger_form"),
                elem_id="merger_form",
            ),
            "name": gr.Textbox(
                label=words("merger_name"),
                placeholder=words("merger_name_hint"),
                max_lines=1,
                elem_id="merger_convert_name",
            ),
            "half": gr.Checkbox(False, label=words("merger_half")),
        }
        self.convert = gr.Button(words("merger_convert_start"), elem_id="merger_convert_start")

    def _list(self, name: str, choices: Sequence[Any], **shown: Any) -> gr.Dropdown:
        return gr.Dropdown(choices, value=None, elem_id=f"merger_{name}", allow_custom_value=True, min_width=0, **shown)

    @property
    def lists(self) -> list[Component]:
        """Return the lists that hold names of files."""
        return [*(self.parts[name] for name in ("model", "second", "third", "vae")), self.whole["model"]]

    def connect(self) -> None:
        """Connect the components to their handlers."""
        watched = [self.job, self.progress, self.timer]
        once: dict[str, Any] = {"trigger_mode": "once", **QUEUED}
        self.merge.click(self.start_merge, None, watched, inputs_kwargs=self.parts, **once)
        self.convert.click(self.start_convert, None, watched, inputs_kwargs=self.whole, **once)
        self.timer.tick(self.look, self.job, [self.progress, self.timer, *self.lists], **QUIET)
        self.progress.act(self.act, self.job, watched, trigger_mode="multiple", **QUIET)
        method = self.parts["method"]
        shown = [self.parts["second"], self.parts["third"], self.parts["multiplier"], self.formula]
        method.change(self.show, method, shown, **QUIET)
        when_opened(self.load, [*watched, *self.lists])
        self.page.top.refresh.click(self.renewed, self.lists, self.lists, **QUIET)

    def load(self, request: gr.Request) -> Any:
        """Show a fresh page the files there are, and the last file that was made or is being made."""
        jobs = self.server.jobs.recent(SEARCHED)
        last = next((each for each in jobs if isinstance(each.task, Merge | Convert)), None)
        return (*self._watched(last, request), *self.renewed(*[None] * len(self.lists)))

    def renewed(self, *values: Any) -> Any:
        """Return the lists as the folders are now, with what was chosen."""
        checkpoints = top.checkpoints(self.server.catalog)
        vaes = [(each.name, each.name) for each in self.server.catalog.files("vae") if not each.problem]
        kinds = [checkpoints, [("—", ""), *checkpoints], [("—", ""), *checkpoints], [("—", ""), *vaes], checkpoints]
        return [
            gr.update(choices=choices, value=value if value in [name for _, name in choices] else None)
            for choices, value in zip(kinds, values, strict=True)
        ]

    def show(self, method: str) -> Any:
        """Show what the chosen way of merging needs."""
        return (
            gr.update(visible=method != "none"),
            gr.update(visible=method == "difference"),
            gr.update(visible=method != "none"),
            gr.update(value=self.words(f"merger_formula_{method if method in METHODS else 'sum'}")),
        )

    def start_merge(self, request: gr.Request, **values: Any) -> Any:
        """Queue a merge."""
        return self._start(Merge, {**values, "metadata": values.get("metadata") or "{}"}, request)

    def start_convert(self, request: gr.Request, **values: Any) -> Any:
        """Queue a conversion."""
        return self._start(Convert, values, request)

    def look(self, job: str, request: gr.Request) -> Any:
        """Answer a page's question how far its job is; when it is over the lists have what it made."""
        found = self.server.jobs.get(job)
        _, progress, timer = self._watched(found, request)
        if found is None or found.status not in ("queued", "running"):
            self.server.catalog.refresh()
            choices = self.renewed(*[None] * len(self.lists))
            return (progress, timer, *(gr.update(choices=each["choices"]) for each in choices))
        return (progress, timer, *[gr.skip()] * len(self.lists))

    def act(self, job: str, event: gr.EventData, request: gr.Request) -> Any:
        """Do what a button in the progress asks for."""
        asked = dict(event._data or {}).get("act")
        if asked in ("cancel", "interrupt"):
            self.server.jobs.cancel(job)
        elif asked == "retry":
            self.server.jobs.retry(job)
        return self._watched(self.server.jobs.get(job), request)

    def _start(self, kind: type[Merge] | type[Convert], values: Mapping[str, Any], request: gr.Request) -> Any:
        words = self.words.heard(request)
        try:
            task = _task(kind, values)
            job = self.server.submit_file(task, OWNER, device_of(request.headers.get("user-agent", ""), words))
        except EaselError as error:
            gr.Warning(pieces.plain(explain(error, words)))
            return gr.skip(), gr.skip(), gr.skip()
        return self._watched(self.server.jobs.get(job), request)

    def _watched(self, job: Job | None, request: gr.Request) -> tuple[Any, Any, Any]:
        words = self.words.heard(request)
        live = job is not None and job.status in ("queued", "running")
        return job.id if job is not None else "", result_panel.made(job, words), gr.Timer(active=live)


def _task(kind: type[Merge] | type[Convert], values: Mapping[str, Any]) -> FileTask:
    """Return what the form asks for; raise `BadRequest` with a sentence that says what is allowed."""
    given = {name: "" if value is None else value for name, value in values.items()}
    if not given.get("model"):
        raise BadRequest("merge_nothing")
    if "metadata" in given:
        try:
            told = json.loads(str(given["metadata"]))
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise BadRequest("merge_metadata")
        given["metadata"] = {
            str(key): each if isinstance(each, str) else json.dumps(each) for key, each in told.items()
        }
    return make_file_task(kind, given)
