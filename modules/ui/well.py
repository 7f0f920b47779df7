"""A place for a picture: dropped, pasted, chosen or sent there, kept by the server, and found again after a reload."""

from collections.abc import Callable
from pathlib import Path

import gradio as gr

from modules.api.inputs import input_url
from modules.errors import BadRequest
from modules.images.inputs import FORMATS, check
from modules.server.server import Server
from modules.ui.fields import Form
from modules.ui.listeners import QUIET
from modules.ui.markup import Html, element, icon
from modules.ui.page_words import PageWords
from modules.words import Words

SCRIPT = Path(__file__).parent / "well.js"


class Well:
    """A hidden field with the picture's name, and the panel that shows it. `label` is a key of `ui.json`."""

    def __init__(self, server: Server, words: PageWords, form: Form, field: str, label: str) -> None:
        self.server = server
        self.words = words
        self.label = label
        self.id = f"{form.tab}_{field.replace('/', '_')}"
        self.field = gr.Textbox("", visible="hidden", elem_id=self.id)
        form.add(field, self.field)
        script = SCRIPT.read_text(encoding="utf-8")
        self.panel = gr.HTML(
            well("", None, self.id, label, words.heard(None)),
            elem_id=f"{self.id}_well",
            js_on_load=script,
            apply_default_css=False,
            elem_classes="panel",
        )

    def connect(self, keep: Callable[[str], None]) -> None:
        """Show the picture whenever the field has another name, and `keep` the name."""

        def shown(name: str, request: gr.Request) -> str:
            keep(name)
            return self.show(name, request)

        self.field.change(shown, self.field, self.panel, trigger_mode="always_last", **QUIET)

    def show(self, name: str, request: gr.Request) -> str:
        """Return the panel with the picture `name`."""
        return well(name, self.size(name), self.id, self.label, self.words.heard(request))

    def size(self, name: str) -> tuple[int, int] | None:
        """Return width and height of the picture `name`; None when there is none."""
        try:
            return check(self.server.inputs.file(name).read_bytes())
        except BadRequest:
            return None


def well(name: str, size: tuple[int, int] | None, field: str, label: str, words: Words) -> Html:
    """Return the panel: the picture with its size, or what one may do to put one there."""
    title = words.say(f"ui.{label}")
    chooser = element("input", type="file", accept="image/*", cls="sr-only", aria_label=words.say("ui.choose_picture"))
    alert = element("p", role="alert", hidden=True)
    about = {"data_field": field, "data_away": words.say("ui.server_away")}
    head = element("span", title, cls="title")
    if size is None:
        hint = element("span", words.say("ui.drop_picture"), cls="hint")
        formats = element("small", ", ".join(FORMATS))
        place = element("label", icon("picture"), hint, formats, chooser, cls="drop")
        return element("div", head, place, alert, cls="well", **about)
    shown = element("img", src=input_url(name, "768"), alt=title, draggable="false")
    tools = element(
        "div",
        element("span", f"{size[0]} × {size[1]}", cls="size"),
        element("label", icon("retry"), chooser, cls="tool", title=words.say("ui.choose_picture")),
        element(
            "button",
            icon("close"),
            type="button",
            cls="tool",
            data_clear=True,
            title=words.say("ui.remove_picture"),
            aria_label=words.say("ui.remove_picture"),
        ),
        cls="tools",
    )
    return element("div", head, element("div", shown, cls="held"), tools, alert, cls="well full", **about)
