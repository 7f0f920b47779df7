"""The fields of what SDXL is told about a picture besides words and size."""

from __future__ import annotations

from typing import Any

import gradio as gr

from modules.request import Told
from modules.ui.fields import Form
from modules.ui.page_words import PageWords


def told_fields(form: Form, words: PageWords) -> None:
    """Build the fields, in an accordion that is closed, and add them to `form`."""
    with gr.Accordion(words("told"), open=False, elem_classes="part"):
        gr.Markdown(words("told_hint"), elem_classes="hint")
        with gr.Row(elem_classes="line two"):
            _box(form, "crop_top", words("crop_top"), 1)
            _box(form, "crop_left", words("crop_left"), 1)
        with gr.Row(elem_classes="line two"):
            _box(form, "high_score", words("high_score"), 0.1)
            _box(form, "low_score", words("low_score"), 0.1)


def _box(form: Form, name: str, label: Any, step: float) -> None:
    usual = Told.model_fields[name].default
    made = gr.Number(usual, label=label, elem_id=f"{form.tab}_told_{name}", step=step, min_width=0)
    form.add(f"told/{name}", made)
