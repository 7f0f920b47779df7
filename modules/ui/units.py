"""The units of ControlNet and its kin on the page: their fields, their hints, and how they become part of a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.api.inputs import input_url
from modules.errors import BadRequest, EaselError
from modules.offers import PreprocessorOffer
from modules.request import Control, limits
from modules.server.server import Server
from modules.tasks import make_detect
from modules.ui import pieces
from modules.ui.fields import Form
from modules.ui.listeners import QUEUED, QUIET
from modules.ui.markup import Html, element
from modules.ui.page_words import PageWords, explain
from modules.ui.pile import Pile, brought
from modules.ui.waiting import awaited
from modules.ui.well import Well

TAB = "controlnet"  # the tab that has them
BATCH = 100  # pictures of one unit
SLIDERS = 2  # numbers that a preprocessor takes, at most
NONE = "None"
MANY = "many_"  # in the names of places for many pictures
MODES = MappingProxyType({"balanced": "mode_balanced", "prompt": "mode_prompt", "control": "mode_control"})
FITS = MappingProxyType({"crop": "resize_crop", "stretch": "resize_stretch", "fill": "resize_fill"})


@dataclass
class Unit:
    """The components of one unit by their name in `Control`, and what shows its hint."""

    well: Well
    many: Pile
    parts: dict[str, Any]
    sliders: list[gr.Number]
    draw: gr.Button
    hint: gr.HTML


class Units:
    """Several units, as fields "unit_0/weight" of a form."""

    def __init__(self, server: Server, words: PageWords, form: Form) -> None:
        self.server = server
        self.words = words
        self.form = form
        self.units = []
        with gr.Tabs(elem_classes="units"):
            for place in range(server.settings.controlnet_units):
                with gr.Tab(words.of(f"Unit {place + 1}", ko=f"유닛 {place + 1}")):
                    self.units.append(self._unit(place))

    def _unit(self, place: int) -> Unit:
        prefix = f"unit_{place}"
        parts: dict[str, Any] = {}

        def add(name: str, component: Any) -> None:
            parts[name] = component
            self.form.add(f"{prefix}/{name}", component)

        def said(name: str) -> str:
            return f"{self.form.tab}_{prefix}_{name}"

        add("enabled", gr.Checkbox(False, label=self.words("unit_on"), elem_id=said("enabled"), min_width=0))
        well = Well(self.server, self.words, self.form, f"{prefix}/image", "unit_picture")
        many = Pile(self.server, self.words, said("many"), BATCH)
        with gr.Accordion(self.words("many_pictures"), open=False, elem_classes="part"):
            gr.Markdown(self.words("unit_many_hint"), elem_classes="hint")
            many.build()
        with gr.Row(elem_classes="line two"):
            kinds = preprocessors(self.server)
            add(
                "preprocessor",
                gr.Dropdown(
                    kinds, value="none", label=self.words("preprocessor"), elem_id=said("preprocessor"), min_width=0
                ),
            )
            files = models(self.server, self.words)
            box = gr.Dropdown(
                files,
                value="",
                label=self.words("control_model"),
                elem_id=said("model"),
                allow_custom_value=True,
                min_width=0,
            )
            add("model", box)
        sliders = []
        for number in range(SLIDERS):
            # Which numbers there are, and their bounds, differ from preprocessor to preprocessor: a box knows none.
            slider = gr.Number(0, label=f"{number}", elem_id=said(f"option_{number}"), visible=False, min_width=0)
            self.form.add(f"{prefix}/option_{number}", slider)
            sliders.append(slider)
        with gr.Row(elem_classes="line hints"):
            draw = gr.Button(self.words("draw_hint"), elem_id=said("draw"), elem_classes="wide", min_width=0)
        hint = gr.HTML("", apply_default_css=False, js_on_load=None, elem_id=said("hint"), elem_classes="panel")
        for name, step in (("weight", 0.05), ("start", 0.01), ("end", 0.01), ("resolution", 8)):
            info = Control.model_fields[name]
            least, most, _ = limits(info.metadata)
            about: dict[str, Any] = {"label": self.words(f"control_{name}"), "elem_id": said(name), "step": step}
            add(name, gr.Slider(least or 0, most or 0, info.default, buttons=[], min_width=0, **about))
        add("pixel_perfect", gr.Checkbox(False, label=self.words("pixel_perfect"), elem_id=said("pixel_perfect")))
        with gr.Row(elem_classes="line two"):
            for name, choices, first in (("mode", MODES, "balanced"), ("resize_mode", FITS, "crop")):
                shown = [(self.words(label), value) for value, label in choices.items()]
                label = self.words("control_mode" if name == "mode" else "resize_mode")
                add(name, gr.Dropdown(shown, value=first, label=label, elem_id=said(name), min_width=0))
        return Unit(well, many, parts, sliders, draw, hint)

    def connect(self, keeper: Callable[[str], Callable[[str], None]]) -> None:
        """Connect the units; `keeper` returns what keeps the field of that name."""
        for place, unit in enumerate(self.units):
            unit.well.connect(keeper(f"unit_{place}/image"))
            unit.many.connect()
            unit.parts["preprocessor"].change(self.numbers, unit.parts["preprocessor"], unit.sliders, **QUIET)
            told_by = [unit.well.field, unit.parts["preprocessor"], unit.parts["resolution"], *unit.sliders]
            unit.draw.click(self.draw, told_by, unit.hint, **QUEUED)

    def besides(self) -> dict[str, Component]:
        """Return the places for many pictures, by the names that `batches` knows them by."""
        return {f"{MANY}{place}": unit.many.brought for place, unit in enumerate(self.units)}

    def batches(self, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the values of the form once for each job: in the n-th, each unit has its n-th picture.

        A unit that is switched on and has no more than one keeps it. Raises `BadRequest` when units with many pictures
        have different numbers of them.
        """
        form = {name: value for name, value in values.items() if not name.startswith(MANY)}
        names = {}
        for place in range(len(self.units)):
            pictures = brought(values.get(f"{MANY}{place}") or "", BATCH)
            if pictures and form.get(f"unit_{place}/enabled"):
                names[f"unit_{place}/image"] = [name for name, _ in pictures]
        counts = [len(each) for each in names.values()]
        if len(set(counts)) > 1:
            raise BadRequest("unit_pictures", counts=", ".join(map(str, counts)))
        jobs = range(counts[0] if counts else 1)
        return [form | {field: kept[number] for field, kept in names.items()} for number in jobs]

    def numbers(self, preprocessor: str, request: gr.Request) -> list[Any]:
        """Return the sliders that a preprocessor has, those it has not hidden."""
        offer = self.server.offers.preprocessors.get(preprocessor)
        shown: list[Any] = []
        for number in range(SLIDERS):
            if offer is None or number >= len(offer.sliders):
                shown.append(gr.update(visible=False))
                continue
            each = offer.sliders[number]
            label = f"{each.label} ({each.least:g} – {each.most:g})"
            shown.append(gr.update(visible=True, label=label, value=each.default))
        return shown

    def draw(
        self, image: str, preprocessor: str, resolution: float, first: float, second: float, request: gr.Request
    ) -> Any:
        """Have the hint of a unit drawn, wait for it, and return it as HTML."""
        words = self.words.heard(request)
        try:
            options = options_of(self.server.offers.preprocessors.get(preprocessor), (first, second))
            told = {"image": image, "preprocessor": preprocessor, "options": options, "resolution": int(resolution)}
            if not image:
                return _said(words.say("errors.no_picture"))
            job = self.server.submit_detect(make_detect(told))
            found = awaited(self.server, job)
            name = self.server.detected(job)
            if name:
                return element("img", src=input_url(name, "768"), alt=words.say("ui.hint"), cls="hint-picture")
            if found is not None and found.error is not None:
                return _said(words.say(f"errors.{found.error.key}", **found.error.values))
            return _said(words.say("ui.hint_waits"))
        except EaselError as error:
            return _said(pieces.plain(explain(error, words)))


def _said(text: str) -> Html:
    return element("p", text, role="alert", cls="unit-alert")


def preprocessors(server: Server) -> list[tuple[str, str]]:
    """Return what the preprocessor selector offers, as (label, name)."""
    return [(each.label, each.name) for each in server.offers.preprocessors.values()]


def models(server: Server, words: PageWords) -> list[tuple[str, str]]:
    """Return what the selector of control models offers, as (label, name); what cannot be loaded is left out."""
    none = words.heard(None).say("ui.vae_none")
    files = [each for each in server.catalog.files("controlnet") if not each.problem]
    return [(none, ""), *((f"{each.name} [{each.hash}]" if each.hash else each.name, each.name) for each in files)]


def options_of(offer: PreprocessorOffer | None, numbers: Sequence[Any]) -> dict[str, float]:
    """Return the numbers of the sliders by the names the preprocessor has for them, each within its bounds."""
    sliders = offer.sliders[:SLIDERS] if offer is not None else ()
    found = {}
    for slider, number in zip(sliders, numbers, strict=False):
        value = slider.default if number is None else float(number)
        found[slider.name] = min(max(value, slider.least), slider.most)
    return found


def controls_of(server: Server, form: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the units of a form that are switched on, as `Request.controls` wants them."""
    found = []
    for place in range(server.settings.controlnet_units):
        prefix = f"unit_{place}/"
        unit = {name.removeprefix(prefix): value for name, value in form.items() if name.startswith(prefix)}
        if not unit.pop("enabled", False):
            continue
        numbers = [unit.pop(f"option_{number}", None) for number in range(SLIDERS)]
        offer = server.offers.preprocessors.get(str(unit.get("preprocessor")))
        model = unit.get("model") or ""
        found.append({**unit, "model": "" if model == NONE else model, "options": options_of(offer, numbers)})
    return found
