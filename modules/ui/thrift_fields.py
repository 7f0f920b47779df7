"""The fields of what makes attention faster, and pictures a little coarser."""

from __future__ import annotations

from typing import Any

import gradio as gr

from modules.request import Hypertile, Merging
from modules.ui.fields import Form
from modules.ui.page_words import PageWords


def thrift_fields(form: Form, words: PageWords, twice: bool) -> None:
    """Build the fields, in an accordion that is closed, and add them to `form`; `twice`: there is a second pass."""
    with gr.Accordion(words("thrift"), open=False, elem_classes="part"):
        gr.Markdown(words("thrift_hint"), elem_classes="hint")
        with gr.Row(elem_classes="line two"):
            _box(form, "merging/merge_ratio", words("merge_ratio"), Merging, 0.1)
            if twice:
                _box(form, "merging/merge_ratio_hires", words("merge_ratio_hires"), Merging, 0.1)
        with gr.Row(elem_classes="line two"):
            _switch(form, "hypertile/tile_attention", words("tile_attention"))
            if twice:
                _switch(form, "hypertile/tile_attention_hires", words("tile_attention_hires"))
        with gr.Row(elem_classes="line two"):
            _box(form, "hypertile/max_tile", words("max_tile"), Hypertile, 16)
            _box(form, "hypertile/max_depth", words("max_depth"), Hypertile, 1)
        _box(form, "hypertile/swap_size", words("swap_size"), Hypertile, 1)


def _switch(form: Form, field: str, label: Any) -> None:
    name = f"{form.tab}_{field.replace('/', '_')}"
    form.add(field, gr.Checkbox(False, label=label, elem_id=name, min_width=0))


def _box(form: Form, field: str, label: Any, part: Any, step: float) -> None:
    usual = part.model_fields[field.rpartition("/")[2]].default
    name = f"{form.tab}_{field.replace('/', '_')}"
    form.add(field, gr.Number(usual, label=label, elem_id=name, step=step, min_width=0))
