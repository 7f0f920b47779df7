"""The components of a tab that makes pictures: prompts, buttons, settings, and what is watched.

They are laid out by `style.css`: beside each other on a wide screen, the result first on a phone.
"""

from collections.abc import Callable
from typing import Any, get_args

import gradio as gr

from modules.errors import EaselError
from modules.request import BATCH_COUNT, BATCH_SIZE, CFG_SCALE, SIZE, STEPS, NoiseSource, Request
from modules.ui import pieces
from modules.ui.fields import Form, build_fields
from modules.ui.follow import UNKNOWN_SIZE
from modules.ui.guidance_fields import guidance_fields
from modules.ui.networks import Networks
from modules.ui.panel import panel
from modules.ui.refiner import build_refiner
from modules.ui.sampling_fields import sampling_fields
from modules.ui.styles import StylesBox
from modules.ui.tab import Page
from modules.ui.thrift_fields import thrift_fields
from modules.ui.told_fields import told_fields
from modules.ui.units import TAB as CONTROLS
from modules.ui.watch import IDLE, Watch

Build = Callable[[Form], None]


class Studio:
    """The components, and the form they fill. `name` is the tab's, and begins the id of each of them.

    `own` builds what the tab has besides, `below` what it has at the end of its settings; both add what is a field to
    the form.
    """

    def __init__(self, page: Page, name: str, own: Build, below: Build) -> None:
        self.name = name
        self.words = page.words
        self.server = page.server
        self.form = page.forms[name] = Form(name)
        for field, component in page.top.fields.items():
            self.form.add(field, component)
        with gr.Column(elem_id=name, elem_classes="studio"):
            self._prompts()
            self._actions()
            self.networks = Networks(page.server, page.words, name)
            with gr.Column(elem_classes="own", min_width=0):
                own(self.form)
            self._settings(below)
            self._result()
        listed = ("model", "vae", "sampler", "schedule", "styles")
        lists = {field: self.form.components[field] for field in listed if field in self.form.components}
        panels = {**self.panels, "health": page.health}
        self.watch = Watch(page.server, page.words, self.choice, self.seen, self.changed, self.timer, panels, lists)

    def native_size(self, model: str) -> int:
        """Return the side in pixels that the checkpoint `model` was made for."""
        try:
            return self.server.catalog.find(model).native_size or UNKNOWN_SIZE
        except EaselError:
            return UNKNOWN_SIZE

    def _prompts(self) -> None:
        with gr.Column(elem_classes="prompts", min_width=0):
            self.counters: dict[str, gr.HTML] = {}
            self.odd: dict[str, gr.HTML] = {}  # what may not be meant as it is read
            for name, hint, lines in (("prompt", "prompt_hint", 3), ("negative_prompt", "negative_hint", 3)):
                with gr.Column(elem_classes="prompt-box", min_width=0):
                    box = gr.Textbox(
                        value="",
                        label=self.words(name),
                        placeholder=self.words(hint),
                        lines=lines,
                        max_lines=12,
                        elem_id=f"{self.name}_{name}",
                        elem_classes="field",
                    )
                    self.form.add(name, box)
                    hidden = self.server.settings.disable_token_counters
                    self.counters[name] = gr.HTML(
                        "" if hidden else pieces.counter(0, 75, self.words.heard(None)),
                        apply_default_css=False,
                        elem_classes="counter",
                        js_on_load=None,
                    )
                    self.odd[name] = gr.HTML("", apply_default_css=False, elem_classes="odd", js_on_load=None)
            self.styles = StylesBox(self.server, self.words, self.form)

    def _actions(self) -> None:
        with gr.Column(elem_classes="actions", min_width=0):
            self.generate = gr.Button(self.words("generate"), variant="primary", elem_id=f"{self.name}_generate")
            with gr.Row(elem_classes="pair"):
                read = self.words("read_parameters")
                self.read = gr.Button(read, elem_id=f"{self.name}_read", elem_classes="tool", min_width=0)
                self.interrupt = gr.Button(self.words("interrupt"), elem_id=f"{self.name}_interrupt", min_width=0)
                self.skip = gr.Button(self.words("skip"), elem_id=f"{self.name}_skip", min_width=0)
                more = self.words.say("keys.menu")
                gr.Button(more, elem_id=f"{self.name}_more", elem_classes="tool", min_width=0)  # of forever.js

    def _settings(self, below: Build) -> None:
        size = self.native_size("")
        with gr.Column(elem_classes="settings", min_width=0):
            with gr.Row(elem_classes="line two"):
                self._list("sampler", [*self.server.offers.samplers])
                self._list("schedule", [*self.server.offers.schedules])
            self._number("steps", 20, (*STEPS, 1))
            with gr.Row(elem_classes="line sizes"):
                with gr.Column(elem_classes="both", min_width=0):
                    self._number("width", size, SIZE)
                    self._number("height", size, SIZE)
                self.swap = gr.Button(self.words("swap"), elem_id=f"{self.name}_swap", elem_classes="tool", min_width=0)
            with gr.Row(elem_classes="line two"):
                self._number("batch_count", 1, (*BATCH_COUNT, 1), slider=False)
                self._number("batch_size", 1, (*BATCH_SIZE, 1), slider=False)
            self._number("cfg_scale", 7, (*CFG_SCALE, 0.5))
            with gr.Row(elem_classes="line seeds"):
                seed = gr.Textbox("-1", label=self.words("seed"), elem_id=f"{self.name}_seed", max_lines=1, min_width=0)
                self.form.add("seed", seed)
                self.dice = gr.Button(
                    self.words("random_seed"), elem_id=f"{self.name}_random_seed", elem_classes="tool", min_width=0
                )
                self.reuse = gr.Button(
                    self.words("reuse_seed"), elem_id=f"{self.name}_reuse_seed", elem_classes="tool", min_width=0
                )
            below(self.form)
            build_refiner(self.form, self.server, self.words, twice="hires_on" in self.form.components)
            with gr.Accordion(self.words("seed_variation"), open=False, elem_classes="part"):
                self._variation()
            sampling_fields(self.form, self.words)
            guidance_fields(self.form, self.words)
            told_fields(self.form, self.words)
            thrift_fields(self.form, self.words, twice="hires_on" in self.form.components)
            if self.name != CONTROLS:
                use = gr.Checkbox(
                    False, label=self.words("use_controls"), elem_id=f"{self.name}_use_controls", min_width=0
                )
                self.form.add("use_controls", use)
            with gr.Column(elem_classes="extras", min_width=0):
                build_fields(self.form, self.server.plugins, self.words)

    def _variation(self) -> None:
        with gr.Row(elem_classes="line two"):
            label = self.words("variation_seed")
            seed = gr.Textbox("-1", label=label, elem_id=f"{self.name}_variation_seed", max_lines=1, min_width=0)
            self.form.add("variation/seed", seed)
            self._plain("variation/strength", self.words("strength"), 0.01)
        with gr.Row(elem_classes="line two"):
            self._plain("variation/from_width", self.words("from_width"), SIZE[2])
            self._plain("variation/from_height", self.words("from_height"), SIZE[2])
        with gr.Row(elem_classes="line two"):
            texts = (self.words("noise_cpu"), self.words("noise_gpu"), self.words("noise_nv"))
            sources = [*zip(texts, get_args(NoiseSource), strict=True)]
            label, name = self.words("noise_source"), f"{self.name}_noise_source"
            if "noise_source" not in self.form.components:
                self.form.add("noise_source", gr.Dropdown(sources, value="CPU", label=label, elem_id=name, min_width=0))
            if "seed_delta" not in self.form.components:
                self._plain("seed_delta", self.words("seed_delta"), 1)

    def _plain(self, field: str, label: Any, step: float) -> None:
        """A number box under its label."""
        name = f"{self.name}_{field.replace('/', '_')}"
        self.form.add(field, gr.Number(0, label=label, elem_id=name, step=step, min_width=0))

    def _result(self) -> None:
        # What the page has chosen and seen travels with it; the server keeps nothing about a page.
        self.choice = gr.Textbox("{}", visible=False)
        self.seen = gr.Textbox("{}", visible=False)
        self.changed = gr.Textbox("", visible="hidden")  # how often the models folder has changed
        self.timer = gr.Timer(IDLE)
        # A listener for each field would cost a page more than all the rest: the page says when one has changed.
        self.typed = gr.Textbox("", visible="hidden", elem_id=f"{self.name}_typed")
        self.arrival = gr.Textbox("", visible="hidden", elem_id=f"{self.name}_arrival")  # what another tab sends
        self.dropped = gr.Textbox("", visible="hidden", elem_id=f"{self.name}_dropped")  # a picture on the prompt
        self.forever = gr.Textbox("", visible="hidden", elem_id=f"{self.name}_forever")  # is this click for ever?
        self.panels: dict[str, gr.HTML] = {}
        with gr.Column(elem_classes="result", min_width=0):
            for name in ("progress", "stage", "strip", "parameters"):
                self.panels[name] = panel(f"{self.name}_{name}")
        with gr.Column(elem_classes="side", min_width=0):
            self.panels["queue"] = panel(f"{self.name}_queue")

    def _list(self, name: str, choices: list[str]) -> None:
        first = Request.model_fields[name].default
        # A name that is not in the list reaches the server all the same, which answers with the allowed ones.
        box = gr.Dropdown(
            choices,
            value=first,
            label=self.words(name),
            elem_id=f"{self.name}_{name}",
            allow_custom_value=True,
            min_width=0,
        )
        self.form.add(name, box)

    def _number(self, name: str, value: float, bounds: tuple[float, float, float], slider: bool = True) -> None:
        """A number box without bounds of its own (the request has them, and says so), and a slider to drag it by.

        `page.js` has them follow each other.
        """
        least, most, step = bounds
        with gr.Column(elem_classes="number" + ("" if slider else " plain"), min_width=0):
            box = gr.Number(value, label=self.words(name), elem_id=f"{self.name}_{name}", step=step, min_width=0)
            self.form.add(name, box)
            if slider:
                gr.Slider(
                    least,
                    most,
                    value,
                    step=step,
                    label=self.words(name),
                    show_label=False,
                    interactive=True,  # no listener of Gradio's asks for its value
                    buttons=[],
                    elem_id=f"{self.name}_{name}_slider",
                    min_width=0,
                )
