"""Painting on a picture in the browser: Gradio's editor, with what was painted kept by the server under a name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from modules.api.inputs import flat_copy
from modules.errors import EaselError
from modules.server.server import Server
from modules.ui.fields import Form
from modules.ui.listeners import QUIET
from modules.ui.page_words import PageWords

SIDE = 1024  # pixels of the copy that is painted on: a photograph of twelve million stays as quick as a small picture
FIELD = "painted"
SCRIPT = Path(__file__).parent / "painter.js"


class Painter:
    """The editor, and the field that says what is painted on which picture.

    `colours` are those of the brush; the first is in use.
    """

    def __init__(self, server: Server, words: PageWords, form: Form, label: str, colours: Sequence[str]) -> None:
        self.server = server
        self.painted = gr.Textbox("", visible="hidden", elem_id=f"{form.tab}_{FIELD}")
        form.add(FIELD, self.painted)
        self.editor = gr.ImageEditor(
            None,
            type="pil",
            image_mode="RGBA",
            label=words(label),
            elem_id=f"{form.tab}_editor",
            elem_classes="painter",
            height=420,
            sources=(),
            transforms=(),
            brush=gr.Brush(colors=list(colours), default_color=colours[0], color_mode="defaults"),
            format="png",
            buttons=["fullscreen"],
            canvas_size=(512, 512),
        )
        # What the editor tells of itself sends all of it again and again; the page says when the hand comes to rest.
        self.stroke = gr.Textbox("", visible="hidden", elem_id=f"{form.tab}_stroke")

    def connect(self, picture: gr.Textbox, keep: Callable[[str], None]) -> None:
        """Show the picture that the field `picture` names, and `keep` what is painted on it."""
        shown = [self.editor, self.painted]
        picture.change(self.begin, [picture, self.painted], shown, trigger_mode="always_last", **QUIET)
        self.settled(self.stroke.change, picture).then(keep, self.painted, None, **QUIET)

    def settled(self, event: Callable[..., Any], picture: gr.Textbox) -> Any:
        """On `event`, bring what is painted to the server and its name into the field; return what comes after.

        The editor is never what a listener of the server is given: Gradio would have it send all it holds from then on
        whenever any listener is answered.
        """
        told_by = [self.editor, picture, self.painted]
        script = SCRIPT.read_text(encoding="utf-8")
        return event(None, told_by, self.painted, js=script, trigger_mode="multiple", **QUIET)

    def begin(self, picture: str, painted: str) -> tuple[Any, str]:
        """Return what the editor shows for `picture`, and what the field says then.

        What was painted on it before is part of the picture that is shown: the editor does not draw layers it is given.
        The field names it as the `base`, on which the next strokes are laid.
        """
        try:
            paper = flat_copy(self.server, picture, SIDE)
        except EaselError:
            return None, ""
        before = layer_of(self.server, painted, picture)
        told = based(picture, "" if before is None else self.server.inputs.keep(before))
        if before is not None:
            paper = Image.alpha_composite(paper.convert("RGBA"), before.resize(paper.size)).convert("RGB")
        return {"background": paper, "layers": [], "composite": None}, told


def based(picture: str, base: str) -> str:
    """Return the text of the field for a picture with the layer `base` painted on it, by its name, if any."""
    return json.dumps({"on": picture, "layer": "", "base": base})


def layer_of(server: Server, painted: str, picture: str) -> Image.Image | None:
    """Return what the text of the field says is painted on `picture`; None when nothing is."""
    try:
        told = json.loads(painted or "{}")
    except ValueError:
        return None
    if not isinstance(told, dict) or told.get("on") != picture:
        return None
    names = [told.get(part) for part in ("base", "layer")]
    layers = [
        server.inputs.open(name).convert("RGBA") for name in names if isinstance(name, str) and server.inputs.has(name)
    ]
    if len(layers) < 2:
        return layers[0] if layers else None
    return Image.alpha_composite(layers[0].resize(layers[1].size), layers[1])
