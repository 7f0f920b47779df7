"""The fields of how words are read, where that is not as usual."""

from __future__ import annotations

from typing import Any

import gradio as gr

from modules.request import Encoding
from modules.ui.fields import Form
from modules.ui.page_words import PageWords


def encoding_fields(form: Form, words: PageWords) -> None:
    """Build the fields of `request.Encoding` where an accordion is open, and add them to `form`."""
    usual = Encoding()
    _switch(form, "comments", words("comments"), usual.comments)
    _switch(form, "old_emphasis", words("old_emphasis"), usual.old_emphasis)
    _switch(form, "clip_l_skip", words("clip_l_skip"), usual.clip_l_skip)
    if "hires_on" in form.components:
        _switch(form, "first_pass_networks", words("first_pass_networks"), usual.first_pass_networks)
    # Without bounds of its own: the request has them, and says so.
    label, name = words("comma_backtrack"), f"{form.tab}_comma_backtrack"
    box = gr.Number(usual.comma_backtrack, label=label, elem_id=name, step=1, min_width=0)
    form.add("encoding/comma_backtrack", box)


def _switch(form: Form, field: str, label: Any, usual: bool) -> None:
    made = gr.Checkbox(usual, label=label, elem_id=f"{form.tab}_{field}", min_width=0)
    form.add(f"encoding/{field}", made)
