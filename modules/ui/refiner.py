"""The fields of a refiner: the checkpoint that takes over from the one chosen on top, and when."""

from typing import Any

import gradio as gr

from modules.request import Refiner, limits
from modules.server.server import Server
from modules.ui import top
from modules.ui.fields import Form
from modules.ui.listeners import QUIET
from modules.ui.page_words import PageWords


def build_refiner(form: Form, server: Server, words: PageWords, twice: bool) -> None:
    """Build a closed part with the fields; `twice`: the tab has a second pass, and the refiner may work in either."""
    least, most, _ = limits(Refiner.model_fields["switch_at"].metadata)
    name = f"{form.tab}_refiner"
    with gr.Accordion(words("refiner"), open=False, elem_classes="part", elem_id=name):
        box = checkpoint_list(form, server, "refiner/model", words("model"), words("refiner_none"))
        slider = gr.Slider(
            least or 0,
            most or 1,
            Refiner.model_fields["switch_at"].default,
            step=0.01,
            label=words("switch_at"),
            elem_id=f"{name}_switch_at",
            elem_classes="sliding",
            buttons=[],
            min_width=0,
        )
        form.add("refiner/switch_at", slider)
        with gr.Row(elem_classes="line two"):
            ways = [(words("by_timesteps"), "timesteps"), (words("by_steps"), "steps")]
            _choice(form, "switch_by", words("switch_by"), ways)
            if twice:
                passes = [
                    (words("pass_second"), "second"),
                    (words("pass_first"), "first"),
                    (words("pass_both"), "both"),
                ]
                _choice(form, "passes", words("passes"), passes)
    renewed_on_focus(box, server, words("refiner_none"))


def checkpoint_list(form: Form, server: Server, field: str, label: Any, none: Any) -> gr.Dropdown:
    """Build a list of the checkpoints, and of `none` for the empty name, as a `field` of the form."""
    box = gr.Dropdown(
        [(none, ""), *top.checkpoints(server.catalog)],
        value="",
        label=label,
        elem_id=f"{form.tab}_{field.replace('/', '_')}",
        allow_custom_value=True,
        min_width=0,
    )
    form.add(field, box)
    return box


def renewed_on_focus(box: gr.Dropdown, server: Server, none: Any) -> None:
    """Let whoever opens the list see the checkpoints that are there now: files may come at any time."""
    box.focus(lambda: gr.update(choices=[(none, ""), *top.checkpoints(server.catalog)]), None, box, **QUIET)


def _choice(form: Form, field: str, label: Any, choices: list[Any]) -> None:
    first = Refiner.model_fields[field].default
    name = f"{form.tab}_refiner_{field}"
    form.add(f"refiner/{field}", gr.Dropdown(choices, value=first, label=label, elem_id=name, min_width=0))
