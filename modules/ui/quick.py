"""Options of the settings in the row on top: each changes its option as soon as somebody changes it."""

from functools import partial
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.errors import EaselError
from modules.options import choices_of, kind_of
from modules.server.server import Server
from modules.settings import Settings
from modules.ui import pieces
from modules.ui.listeners import AS_TYPED, QUEUED, QUIET
from modules.ui.page_words import PageWords, explain
from modules.ui.settings_panel import said


class Quick:
    """The options that `quicksettings` names, by their keys. `add` is called inside the row."""

    def __init__(self, server: Server, words: PageWords) -> None:
        self.server = server
        self.words = words
        self.options: dict[str, Component] = {}

    def add(self, key: str) -> None:
        """Build the option of that key."""
        info = Settings.model_fields[key]
        value = self.server.options.get(key).value
        own: dict[str, Any] = {
            "value": value,
            "label": self.words.say(f"settings.{key}"),
            "elem_id": f"quick_{key}",
            "min_width": 0,
        }
        if kind_of(info) == "switch":
            self.options[key] = gr.Checkbox(**own)
        elif kind_of(info) == "choice":
            heard = self.words.heard(None)
            self.options[key] = gr.Dropdown([(said(key, each, heard), each) for each in choices_of(info)], **own)
        else:
            self.options[key] = gr.Number(step=1 if kind_of(info) == "whole" else 0.5, **own)

    def connect(self, blocks: gr.Blocks) -> None:
        """Connect the options to their handlers, and give a fresh page their values."""
        for key, component in self.options.items():
            part: Any = component
            events = [part.blur, part.submit] if isinstance(part, gr.Number) else [part.input]
            gr.on(events, partial(self.change, key), part, part, trigger_mode="once", **AS_TYPED, **QUEUED)
        if self.options:
            blocks.load(self.load, None, [*self.options.values()], **QUIET)

    def load(self) -> Any:
        """Return the values as they are."""
        return {component: self.server.options.get(key).value for key, component in self.options.items()}

    def change(self, key: str, value: Any, request: gr.Request) -> Any:
        """Change one option; a value that is not allowed is answered with what is, and the one before comes back."""
        words = self.words.heard(request)
        before = self.server.options.get(key).value
        try:
            applied = self.server.options.apply({key: before if value is None else value})
        except EaselError as error:
            gr.Warning(pieces.plain(explain(error, words)))
            return before
        if applied.changed:
            lines = [words.say("settings.applied", count=applied.changed)]
            lines += [words.say(f"settings.wait_{each}") for each in sorted(applied.waits)]
            gr.Info(pieces.plain(" ".join(lines)))
        return gr.skip()
