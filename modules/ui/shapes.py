"""Painting without a hand: rectangles and ellipses at places that are given in numbers, on a mask or a sketch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import gradio as gr
from gradio.i18n import I18nData
from PIL import Image

from modules.api.inputs import flat_copy, input_url
from modules.errors import BadRequest, EaselError
from modules.images.shapes import Area, Shape, covered, with_shape
from modules.ui import pieces
from modules.ui.listeners import AS_TYPED, QUEUED, QUIET
from modules.ui.markup import element
from modules.ui.page_words import PageWords, explain
from modules.ui.painter import SIDE, Painter, based, layer_of

SMALLEST = 0.1  # percent
# What may be given, in percent of the picture, and what is there at first.
PLACE = MappingProxyType(
    {
        "shape_left": (0.0, 100.0, 25),
        "shape_top": (0.0, 100.0, 25),
        "shape_width": (SMALLEST, 100.0, 50),
        "shape_height": (SMALLEST, 100.0, 50),
    }
)
CLEAR = ""  # the colour that takes paint away


class Shapes:
    """The panel below an editor: where a shape is, what it is, and buttons that paint it and take it away."""

    def __init__(self, words: PageWords, tab: str, painter: Painter, title: I18nData, colours: Sequence[str]) -> None:
        self.server = painter.server
        self.words = words
        self.painter = painter
        self.tab = tab
        labels = {
            "shape_left": words("shape_left"),
            "shape_top": words("shape_top"),
            "shape_width": words("shape_width"),
            "shape_height": words("shape_height"),
        }
        named = {
            "#ff4fa3": words("colour_pink"),
            "#e03131": words("colour_red"),
            "#f08c00": words("colour_orange"),
            "#f5d90a": words("colour_yellow"),
            "#2f9e44": words("colour_green"),
            "#1c7ed6": words("colour_blue"),
            "#9c36b5": words("colour_purple"),
            "#8d5524": words("colour_brown"),
            "#111111": words("colour_black"),
            "#ffffff": words("colour_white"),
        }
        self.parts: dict[str, Any] = {}
        with gr.Accordion(title, open=False, elem_classes="part", elem_id=f"{tab}_shapes"):
            with gr.Row(elem_classes="line four"):
                for name, (_, _, usual) in PLACE.items():
                    self.parts[name] = gr.Number(usual, label=labels[name], elem_id=f"{tab}_{name}", min_width=0)
            with gr.Row(elem_classes="line two"):
                shapes = [(words("shape_rectangle"), "rectangle"), (words("shape_ellipse"), "ellipse")]
                self.parts["shape"] = self._choice("shape", words("shape"), shapes)
                paints = [(named[each], each) for each in colours]
                self.parts["colour"] = self._choice("shape_colour", words("shape_colour"), paints)
            with gr.Row(elem_classes="line two"):
                self.add = gr.Button(words("shape_add"), elem_id=f"{tab}_shape_add", min_width=0)
                self.remove = gr.Button(words("shape_remove"), elem_id=f"{tab}_shape_remove", min_width=0)
            self.told = gr.HTML("", apply_default_css=False, js_on_load=None, elem_id=f"{tab}_shape_told")

    def _choice(self, name: str, label: I18nData, choices: list[Any]) -> gr.Dropdown:
        return gr.Dropdown(choices, value=choices[0][1], label=label, elem_id=f"{self.tab}_{name}", min_width=0)

    def connect(self, picture: gr.Textbox, keep: Callable[[str], None]) -> None:
        """Paint on the picture that the field `picture` names, and `keep` what is painted."""
        about = [picture, self.painter.painted]
        changed = [self.painter.painted, self.painter.editor, self.told]
        # What a hand painted last is brought in first, so that it stays.
        for event, handler in ((self.add.click, self.paint), (self.remove.click, self.wipe)):
            painted = self.painter.settled(event, picture)
            done = painted.then(handler, about, changed, inputs_kwargs=self.parts, **AS_TYPED, **QUEUED)
            done.then(keep, self.painter.painted, None, **QUIET)

    def paint(self, picture: str, painted: str, request: gr.Request, **asked: Any) -> Any:
        """Paint the shape; return what the field says, what the editor shows, and how much is painted."""
        return self._changed(picture, painted, request, asked, str(asked.get("colour") or CLEAR))

    def wipe(self, picture: str, painted: str, request: gr.Request, **asked: Any) -> Any:
        """Take away what is painted where the shape is."""
        return self._changed(picture, painted, request, asked, CLEAR)

    def _changed(self, picture: str, painted: str, request: gr.Request, asked: Mapping[str, Any], colour: str) -> Any:
        words = self.words.heard(request)
        try:
            if not picture:
                raise BadRequest("no_picture")
            area = Area(*(_number(asked, name) for name in PLACE))
            layer = layer_of(self.server, painted, picture)
            paper = flat_copy(self.server, picture, SIDE)
            before = Image.new("RGBA", paper.size) if layer is None else layer.resize(paper.size)
            shape: Shape = "ellipse" if asked.get("shape") == "ellipse" else "rectangle"
            after = with_shape(before, shape, area, colour or None)
            share = covered(after)
            name = self.server.inputs.keep(after) if share else ""
            seen = self.server.inputs.keep(Image.alpha_composite(paper.convert("RGBA"), after).convert("RGB"))
        except EaselError as refused:
            gr.Warning(pieces.plain(explain(refused, words)))
            return gr.skip(), gr.skip(), gr.skip()
        told = based(picture, name)
        covers = words.say("ui.shape_covers", share=f"{share:.1f}")
        image = element("img", src=input_url(seen, "768"), alt=covers)
        said = element("div", element("p", covers, role="status"), image, cls="painted")
        return told, self.painter.begin(picture, told)[0], said


def _number(asked: Mapping[str, Any], name: str) -> float:
    """Return the number in a field; raise `BadRequest` when it is not allowed."""
    least, most, _ = PLACE[name]
    value = asked.get(name)
    try:
        number = float("nan" if value is None else value)
    except (TypeError, ValueError):
        number = float("nan")
    if not least <= number <= most:
        raise BadRequest("number", field=name, value=str("" if value is None else value)[:60], least=least, most=most)
    return number
