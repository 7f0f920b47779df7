"""The fields of what changes guidance, the borders of a picture, and how older versions of A1111 did things."""

from __future__ import annotations

from typing import Any

import gradio as gr

from modules.ui.encoding_fields import encoding_fields
from modules.ui.fields import Form
from modules.ui.page_words import PageWords


def guidance_fields(form: Form, words: PageWords) -> None:
    """Build the fields, in an accordion that is closed, and add them to `form`."""
    with gr.Accordion(words("guidance_and_edges"), open=False, elem_classes="part"):
        _switch(form, "tiling", words("tiling"))
        with gr.Row(elem_classes="line two"):
            _box(form, "rescale", words("rescale"), 0.05)
            _box(form, "skip_early", words("skip_early"), 0.01)
        with gr.Row(elem_classes="line two"):
            _box(form, "s_min_uncond", words("s_min_uncond"), 0.1)
            _switch(form, "guidance/s_min_uncond_all", words("s_min_uncond_all"))
        gr.Markdown(words("as_it_was_hint"), elem_classes="hint")
        _switch(form, "old_timelines", words("old_timelines"))
        _switch(form, "downcast_alphas", words("downcast_alphas"))
        with gr.Row(elem_classes="line two"):
            paddings = [(words("pad_chunks"), "chunks"), (words("pad_off"), "off"), (words("pad_v0"), "v0")]
            _choice(form, "pad_conds", words("pad_conds"), paddings)
            levels = [(words("levels_default"), "Default"), (words("levels_zero_snr"), "Zero Terminal SNR")]
            _choice(form, "noise_schedule", words("noise_schedule"), levels)
        gr.Markdown(words("encoding_hint"), elem_classes="hint")
        encoding_fields(form, words)


def _box(form: Form, name: str, label: Any, step: float) -> None:
    """A number box without bounds of its own: the request has them, and says so."""
    form.add(f"guidance/{name}", gr.Number(0, label=label, elem_id=f"{form.tab}_{name}", step=step, min_width=0))


def _switch(form: Form, field: str, label: Any) -> None:
    name = field.rpartition("/")[2]
    form.add(field, gr.Checkbox(False, label=label, elem_id=f"{form.tab}_{name}", min_width=0))


def _choice(form: Form, field: str, label: Any, choices: list[Any]) -> None:
    first = choices[0][1]
    form.add(field, gr.Dropdown(choices, value=first, label=label, elem_id=f"{form.tab}_{field}", min_width=0))
