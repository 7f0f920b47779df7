"""The tab that makes pictures from words, in one pass or in two."""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from modules.hooks import hookimpl
from modules.model_manager.extras_task import upscaler_names
from modules.model_manager.hires_check import hires_upscalers
from modules.request import SIZE, Hires, Request
from modules.ui.fields import Form
from modules.ui.listeners import QUIET
from modules.ui.maker import Maker
from modules.ui.tab import Page, Tab

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

    def _choice(self, form: Form, field: str, label: Any, choices: list[Any]) -> None:
        first = Hires.model_fields[field].default
        own = {"label": label, "elem_id": _id(field), "min_width": 0, "allow_custom_value": True}
        form.add(f"hires/{field}", gr.Dropdown(choices, value=first, **own))

    def _box(self, form: Form, field: str, label: Any, step: int) -> None:
        form.add(f"hires/{field}", gr.Number(0, label=label, elem_id=_id(field), step=step, min_width=0))


def _id(field: str) -> str:
    return f"{NAME}_hires_{field}"
