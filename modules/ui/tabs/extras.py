"""The tab for finished pictures: enlarge them, restore their faces, split, cut, flip and describe them."""

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import gradio as gr

from modules.errors import EaselError
from modules.hooks import hookimpl
from modules.model_manager.extras_task import RESTORERS, restorer_file, upscaler_names
from modules.server.views import Job
from modules.tasks import FLIPS, MOST_PICTURES, NO_UPSCALER, AutoCrop, Extras, Split, make_extras
from modules.ui import pieces, result_panel
from modules.ui.device import device_of
from modules.ui.extras_panel import RESULT, result
from modules.ui.listeners import QUEUED, QUIET
from modules.ui.markup import Html, element
from modules.ui.opened import when_opened
from modules.ui.page_words import explain
from modules.ui.panel import panel
from modules.ui.pile import Brought, Pile, brought
from modules.ui.tab import Page, Tab
from modules.ui.watch import BUSY, IDLE, OWNER
from modules.words import Words

NAME = "extras"
CROP = "crop_"  # before the names of `AutoCrop`'s fields
SEARCHED = 50  # jobs that a fresh page looks for the last one in

_FACTOR = re.compile("([1-8])x|x([1-8])", re.IGNORECASE)
PLAIN = "Lanczos"  # chosen on a fresh page where no model lies


@hookimpl
def tabs() -> Sequence[Tab]:
    """Offer this tab."""
    return [Tab(NAME, 50, build)]


def build(page: Page) -> None:
    """Build the tab."""
    ExtrasTab(page).connect()


class ExtrasTab:
    """The components of the tab, and what happens when they are used."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.words = page.words
        self.server = page.server
        # What this page brought, follows and has seen travels with it; the server keeps nothing about a page.
        self.pile = Pile(self.server, self.words, NAME, MOST_PICTURES, pastes=True)
        self.job = gr.Textbox("", visible=False)
        self.seen = gr.Textbox("", visible=False)
        self.listed = gr.Textbox("", visible=False)
        self.timer = gr.Timer(IDLE)
        self.parts: dict[str, Any] = {}
        with gr.Column(elem_id=NAME, min_width=0), gr.Row(elem_classes="halves"):
            with gr.Column(elem_classes="asked", min_width=0):
                self.pile.build()
                with gr.Column(elem_classes="card", min_width=0):
                    self._size()
                    self._faces()
                    self._split()
                    self._crop()
                    self._flips()
                    self._caption()
                self.start = gr.Button(self.words("generate"), variant="primary", elem_id="extras_start")
            with gr.Column(elem_classes="got", min_width=0):
                self.progress = panel("extras_progress")
                self.result = _panel("extras_result", RESULT)

    def _size(self) -> None:
        words = self.words
        self.parts["upscaler"] = self._list("upscaler", words.say("extras.upscaler"))
        self.parts["mode"] = gr.Radio(
            [(words.say("extras.by"), "by"), (words.say("extras.to"), "to")],
            value="by",
            label=words.say("extras.mode"),
            elem_id="extras_mode",
        )
        with gr.Row(elem_classes="line two", elem_id="extras_by") as self.by:
            self.parts["scale"] = gr.Slider(
                1, 8, 4, step=0.05, label=words.say("extras.scale"), buttons=[], elem_id="extras_scale", min_width=0
            )
            self.parts["longest"] = gr.Number(
                0,
                label=words.say("extras.longest"),
                precision=0,
                elem_id="extras_longest",
                min_width=0,
            )
        with gr.Row(elem_classes="line three", elem_id="extras_to", visible=False) as self.to:
            for name in ("width", "height"):
                self.parts[name] = gr.Number(512, label=words(name), precision=0, elem_id=f"extras_{name}", min_width=0)
            self.parts["crop"] = gr.Checkbox(True, label=words.say("extras.crop"), elem_id="extras_crop", min_width=0)
        self.parts["focus"] = gr.Checkbox(False, label=words.say("extras.focus"), elem_id="extras_focus", min_width=0)
        with gr.Row(elem_classes="line two"):
            self.parts["second"] = self._list("second", words.say("extras.second"))
            self.parts["second_visibility"] = self._share("second_visibility", words.say("extras.second_visibility"))

    def _faces(self) -> None:
        words = self.words
        with gr.Accordion(words.say("extras.faces"), open=False, elem_id="extras_faces"):
            self.lacking = gr.HTML("", apply_default_css=False, js_on_load=None, elem_id="extras_lacking")
            self.parts["gfpgan"] = self._share("gfpgan", words.say("extras.gfpgan"))
            with gr.Row(elem_classes="line two"):
                self.parts["codeformer"] = self._share("codeformer", words.say("extras.codeformer"))
                self.parts["codeformer_weight"] = self._share(
                    "codeformer_weight", words.say("extras.codeformer_weight")
                )
            self.parts["faces_first"] = gr.Checkbox(
                False, label=words.say("extras.faces_first"), elem_id="extras_faces_first"
            )

    def _flips(self) -> None:
        words = self.words
        labels = {
            "horizontal": words.say("extras.flip_horizontal"),
            "vertical": words.say("extras.flip_vertical"),
            "both": words.say("extras.flip_both"),
        }
        with gr.Accordion(words.say("extras.flips"), open=False):
            self.parts["flips"] = gr.CheckboxGroup(
                [(labels[name], name) for name in FLIPS], value=[], show_label=False, elem_id="extras_flips"
            )

    def _split(self) -> None:
        words = self.words
        with gr.Accordion(words.say("extras.split"), open=False):
            self.parts["split"] = gr.Checkbox(False, label=words.say("extras.split_on"), elem_id="extras_split")
            with gr.Row(elem_classes="line two"):
                labels = {"split_at": words.say("extras.split_at"), "split_overlap": words.say("extras.split_overlap")}
                for name, label in labels.items():
                    default = Split.model_fields[name].default
                    self.parts[name] = gr.Number(default, label=label, step=0.05, elem_id=f"extras_{name}", min_width=0)

    def _crop(self) -> None:
        words = self.words
        with gr.Accordion(words.say("extras.auto_crop"), open=False):
            self.parts["auto_crop"] = gr.Checkbox(
                False, label=words.say("extras.auto_crop_on"), elem_id="extras_auto_crop"
            )
            for pair in (("least", "most"), ("least_area", "most_area"), ("objective", "error")):
                with gr.Row(elem_classes="line two"):
                    for name in pair:
                        self.parts[f"{CROP}{name}"] = self._cropping(name)

    def _cropping(self, name: str) -> Any:
        default = AutoCrop.model_fields[name].default
        about: dict[str, Any] = {"label": self.words.say(f"extras.{name}"), "elem_id": f"extras_{CROP}{name}"}
        if name == "objective":
            aims = [(self.words.say(f"extras.objective_{each}"), each) for each in ("area", "error")]
            return gr.Dropdown(aims, value=default, min_width=0, **about)
        return gr.Number(default, precision=None if name == "error" else 0, min_width=0, **about)

    def _caption(self) -> None:
        names = self._captioners()
        self.parts["caption"] = gr.Dropdown(
            names, value="", label=self.words.say("extras.caption"), elem_id="extras_caption", visible=len(names) > 1
        )

    def _captioners(self) -> list[Any]:
        return [(self.words.say("extras.caption_none"), ""), *((name, name) for name in self.server.captioners())]

    def _list(self, name: str, label: Any) -> gr.Dropdown:
        return gr.Dropdown([], value=None, label=label, elem_id=f"extras_{name}", allow_custom_value=True, min_width=0)

    def _share(self, name: str, label: Any) -> gr.Slider:
        return gr.Slider(0, 1, 0, step=0.001, label=label, buttons=[], elem_id=f"extras_{name}", min_width=0)

    @property
    def lists(self) -> list[Any]:
        """Return what depends on the files there are."""
        return [self.parts["upscaler"], self.parts["second"], self.lacking]

    @property
    def watched(self) -> list[Any]:
        """Return what depends on how the job is."""
        return [self.job, self.seen, self.timer, self.progress, self.result]

    def connect(self) -> None:
        """Connect the components to their handlers."""
        told = [self.job, self.seen, self.listed]
        once: dict[str, Any] = {"trigger_mode": "once", **QUEUED}
        many: dict[str, Any] = {"trigger_mode": "multiple", **QUEUED}
        self.start.click(self.add, self.pile.brought, self.watched, inputs_kwargs=self.parts, **once)
        self.pile.connect()
        self.page.timers[NAME] = self.timer
        self.timer.tick(self.look, told, [*self.watched, self.listed, *self.lists], **QUIET)
        self.progress.act(self.act, self.job, self.watched, **many)
        self.result.act(self.pick, self.job, self.result, **QUIET)
        self.parts["upscaler"].input(self.follow, self.parts["upscaler"], self.parts["scale"], **QUIET)
        self.parts["mode"].change(self.show, self.parts["mode"], [self.by, self.to], **QUIET)
        fresh = [*self.pile.outputs, self.listed, *self.watched, self.lacking, *self.parts.values()]
        when_opened(self.load, fresh).success(None, None, None, js=f"() => window.easel.restore('{NAME}')", **QUIET)

    def load(self, request: gr.Request) -> Any:
        """Show a fresh page the last job, its pictures, and the form as it was then."""
        words = self.words.heard(request)
        jobs = self.server.jobs.recent(SEARCHED)
        last = next((each for each in jobs if isinstance(each.task, Extras)), None)
        there: list[Brought] = []
        if last is not None and isinstance(last.task, Extras):
            named = [(name, last.task.name_of(place)) for place, name in enumerate(last.task.pictures)]
            there = [each for each in named if self.server.inputs.has(each[0])]
        names = self._names()
        kept = self.server.forms.load(OWNER, NAME)
        updates: dict[Any, Any] = dict(zip(self.watched, self._watched(last, words), strict=True))
        updates |= {self.pile.brought: json.dumps(there), self.pile.panel: self.pile.shown(there, words)}
        updates |= {self.listed: self._mark()}
        updates |= {self.lacking: self._lacking(words)}
        for name, part in self.parts.items():
            value = kept.get(name, part.value)
            if name == "upscaler":
                usual = next((each for each in names if each not in self.server.offers.upscalers), PLAIN)
                updates[part] = gr.update(choices=names, value=value if value in names else usual)
            elif name == "second":
                updates[part] = gr.update(choices=names, value=value if value in names else NO_UPSCALER)
            elif name == "caption":
                listed = self._captioners()
                there = [each for _, each in listed]
                chosen = value if value in there else ""
                updates[part] = gr.update(choices=listed, visible=len(listed) > 1, value=chosen)
            else:
                updates[part] = gr.update(value=value)
        return updates

    def show(self, mode: str) -> Any:
        """Show the fields of one way to say how large."""
        return gr.update(visible=mode != "to"), gr.update(visible=mode == "to")

    def follow(self, upscaler: Any) -> Any:
        """Return the factor in the name of an upscaler that was chosen ("4x", "x2"), where that is wanted."""
        found = _FACTOR.search(str(upscaler or ""))
        if found is None or not self.server.options.now.set_scale_by_when_changing_upscaler:
            return gr.skip()
        return int(found[1] or found[2])

    def add(self, told: str, request: gr.Request, **values: Any) -> Any:
        """Add a job; one that is not allowed is answered with what is, and changes nothing."""
        words = self.words.heard(request)
        try:
            task = make_extras(_asked(values, brought(told)))
            origin = device_of(request.headers.get("user-agent", ""), words)
            job = self.server.submit_extras(task, OWNER, origin)
        except EaselError as error:
            gr.Warning(pieces.plain(explain(error, words)))
            return [gr.skip()] * len(self.watched)
        self.server.forms.save(OWNER, NAME, values)
        return self._watched(self.server.jobs.get(job), words)

    def look(self, job: str, seen: str, listed: str, request: gr.Request) -> Any:
        """Answer a page's question what is new: about its job, and about the upscalers there are."""
        words = self.words.heard(request)
        watched = self._watched(self.server.jobs.get(job), words)
        updates = [gr.skip()] * len(watched) if watched[1] == seen else list(watched)
        mark = self._mark()
        if mark == listed:
            return [*updates, gr.skip(), *[gr.skip()] * len(self.lists)]
        names = gr.update(choices=self._names())
        return [*updates, mark, names, names, self._lacking(words)]

    def act(self, job: str, event: gr.EventData, request: gr.Request) -> Any:
        """Do what a button in the progress asks for."""
        asked = dict(event._data or {}).get("act")
        if asked in ("cancel", "interrupt"):
            self.server.jobs.cancel(job)
        elif asked == "skip":
            self.server.jobs.skip(job)
        elif asked == "retry":
            self.server.jobs.retry(job)
        return self._watched(self.server.jobs.get(job), self.words.heard(request))

    def pick(self, job: str, event: gr.EventData, request: gr.Request) -> Any:
        """Show another picture of the job large."""
        place = str(dict(event._data or {}).get("place", ""))
        chosen = int(place) if place.isascii() and place.isdigit() and len(place) < 6 else -1
        return result(self.server.jobs.get(job), chosen, self.words.heard(request))

    def _watched(self, job: Job | None, words: Words) -> tuple[Any, ...]:
        """Return job, mark, timer, progress and result; the result only changes with the pictures there are."""
        live = job is not None and job.status in ("queued", "running")
        progress = result_panel.made(job, words)
        made = result(job, -1, words)
        mark = blake2b(f"{progress}{made}".encode(), digest_size=9).hexdigest()
        return job.id if job else "", mark, gr.Timer(BUSY if live else IDLE), progress, made

    def _names(self) -> list[str]:
        return upscaler_names(self.server.catalog, self.server.offers.upscalers)

    def _mark(self) -> str:
        return f"{self.server.catalog.changed} {len(self.server.offers.upscalers)}"

    def _lacking(self, words: Words) -> Html:
        """Say where models that restore faces belong, if there are none."""
        home = self.server.catalog.home("face")
        lines = [
            element("p", words.say("extras.lacking", restorer=folder, folder=home.with_name(folder)), cls="hint")
            for which, folder in RESTORERS.items()
            if restorer_file(self.server.catalog, which) is None
        ]
        return element("div", *lines)


def _panel(name: str, script: str) -> gr.HTML:
    return gr.HTML("", elem_id=name, js_on_load=script, apply_default_css=False, elem_classes="panel")


def _asked(values: Mapping[str, Any], pictures: Sequence[Brought]) -> dict[str, Any]:
    """Return the values of the form as a task has them; an empty box means its default."""
    given = {name: value for name, value in values.items() if value is not None and name != "mode"}
    crop = {name.removeprefix(CROP): given.pop(name) for name in list(given) if name.startswith(CROP)}
    if given.pop("auto_crop", False):
        given["auto_crop"] = crop
    split = {name: given.pop(name) for name in Split.model_fields if name in given}
    if given.pop("split", False):
        given["split"] = split
    for name in ("width", "height", "crop") if values.get("mode") != "to" else ("scale", "longest"):
        given.pop(name, None)
    given["pictures"] = [name for name, _ in pictures]
    given["names"] = [title for _, title in pictures]
    return given
