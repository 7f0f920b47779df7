"""The tab that makes pictures from words, in one pass or in two."""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from modules.errors import BadRequest, EaselError
from modules.hooks import hookimpl
from modules.model_manager.extras_task import upscaler_names
from modules.model_manager.hires_check import hires_upscalers
from modules.request import SIZE, Hires, Request
from modules.server.again import request_larger
from modules.ui import pieces
from modules.ui.device import device_of
from modules.ui.fields import Form, as_request
from modules.ui.listeners import AS_TYPED, QUEUED, QUIET
from modules.ui.maker import Maker
from modules.ui.page_words import explain
from modules.ui.recalling import of_row
from modules.ui.refiner import checkpoint_list, renewed_on_focus
from modules.ui.tab import Page, Tab
from modules.ui.watch import OWNER, Choice, Seen, told

NAME = "txt2img"


@hookimpl
def tabs() -> Sequence[Tab]:
    """Offer this tab."""
    return [Tab(NAME, 10, build)]


def build(page: Page) -> None:
    """Build the tab: components first, then what happens when they are used."""
    Txt2img(page, NAME).connect()


class Txt2img(Maker):
    """The tab: words, and a second pass that makes the picture larger."""

    def below(self, form: Form) -> None:
        """Build the fields of the second pass."""
        with gr.Accordion(self.words("hires"), open=False, elem_classes="part"):
            form.add("hires_on", gr.Checkbox(False, label=self.words("hires_on"), elem_id=_id("on"), min_width=0))
            self._choice(form, "upscaler", self.words("hires_upscaler"), self.upscalers())
            self._sliding(form, "hires/scale", "hires_scale", Hires, 0.05)
            self._sliding(form, "hires/denoising_strength", "denoising_strength", Hires, 0.01)
            with gr.Row(elem_classes="line two"):
                self._box(form, "width", self.words("hires_width"), SIZE[2])
                self._box(form, "height", self.words("hires_height"), SIZE[2])
            self._box(form, "steps", self.words("hires_steps"), 1)
            with gr.Row(elem_classes="line two"):
                same = (self.words("hires_same"), "")
                self._choice(form, "sampler", self.words("sampler"), [same, *self.server.offers.samplers])
                self._choice(form, "schedule", self.words("schedule"), [same, *self.server.offers.schedules])
            label = self.words("hires_model")
            self.checkpoint = checkpoint_list(form, self.server, "hires/model", label, self.words("hires_same"))
            self._box(form, "cfg_scale", self.words("hires_cfg_scale"), 0.5)
            self._words(form, "prompt", self.words("hires_prompt"))
            self._words(form, "negative_prompt", self.words("hires_negative_prompt"))
        # The button a person sees lies in the panel beneath the picture; this one brings the fields along.
        self.enlarge = gr.Button(self.words("larger"), visible="hidden", elem_id=f"{NAME}_larger")

    def upscalers(self) -> list[Any]:
        """Return what the second pass may begin with, as it is now."""
        return [*hires_upscalers(upscaler_names(self.server.catalog, self.server.offers.upscalers))]

    def asked(self, values: Mapping[str, Any]) -> list[Request]:
        """Return the request; its second pass only where it is switched on."""
        form = dict(values)
        if not form.pop("hires_on", False):
            form = {name: value for name, value in form.items() if not name.startswith("hires/")}
        return super().asked(form)

    def connect(self) -> None:
        """Connect the components."""
        super().connect()
        # The file of an upscaler may come at any time; whoever opens the list sees what is there now.
        box: Any = self.form.components["hires/upscaler"]
        box.focus(lambda: gr.update(choices=self.upscalers()), None, box, **QUIET)
        renewed_on_focus(self.checkpoint, self.server, self.words("hires_same"))
        fields = {name: each for name, each in self.form.components.items() if name.startswith("hires/")}
        told_by = [self.watch.choice, self.watch.seen]
        again: dict[str, Any] = {"inputs_kwargs": fields, **AS_TYPED, **QUEUED}
        self.enlarge.click(self.larger, told_by, self.watch.outputs, **again)

    def larger(self, choice: str, seen: str, request: gr.Request, **values: Any) -> Any:
        """Make the picture that the page shows larger: the second pass alone, as the fields of one say."""
        words = self.words.heard(request)
        try:
            row = self.server.library.get(told(Seen, seen).picture)
            if row is None:
                raise BadRequest("larger_nothing")
            hires = as_request(values)["hires"]
            asked = request_larger(of_row(row, self.server), self.server, self.server.inputs, row.path, hires)
            job = self.server.submit(asked, OWNER, device_of(request.headers.get("user-agent", ""), words))
        except EaselError as error:
            gr.Warning(pieces.plain(explain(error, words)))
            return gr.skip()
        return self._shown(Choice(job), seen, request)

    def _choice(self, form: Form, field: str, label: Any, choices: list[Any]) -> None:
        first = Hires.model_fields[field].default
        own = {"label": label, "elem_id": _id(field), "min_width": 0, "allow_custom_value": True}
        form.add(f"hires/{field}", gr.Dropdown(choices, value=first, **own))

    def _words(self, form: Form, field: str, label: Any) -> None:
        hint = self.words("hires_same")
        box = gr.Textbox("", label=label, placeholder=hint, lines=2, max_lines=12, elem_id=_id(field), min_width=0)
        form.add(f"hires/{field}", box)

    def _box(self, form: Form, field: str, label: Any, step: float) -> None:
        form.add(f"hires/{field}", gr.Number(0, label=label, elem_id=_id(field), step=step, min_width=0))


def _id(field: str) -> str:
    return f"{NAME}_hires_{field}"
