"""The tab of the options, of the forms' defaults, and of taking over another program's settings."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from modules.errors import BadRequest, EaselError
from modules.hooks import hookimpl
from modules.server.old_config import Report, take_over
from modules.ui import pieces, settings_panel
from modules.ui.fields import Form
from modules.ui.listeners import QUEUED
from modules.ui.markup import Html
from modules.ui.page_words import explain
from modules.ui.settings_panel import NAME
from modules.ui.tab import Page, Tab
from modules.ui.watch import OWNER
from modules.words import Words

SCRIPT = Path(__file__).parent.parent / "settings.js"
LONGEST = 20_000  # characters of the changed options


@hookimpl
def tabs() -> Sequence[Tab]:
    """Offer this tab."""
    return [Tab(NAME, 85, build)]


def build(page: Page) -> None:
    """Build the tab: one panel, written when it is first in front, and one listener."""
    Settings(page).connect()


class Settings:
    """The tab, and what happens when it is used."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.server = page.server
        script = SCRIPT.read_text(encoding="utf-8")
        self.panel = gr.HTML("", elem_id=NAME, js_on_load=script, apply_default_css=False, elem_classes="panel")

    def connect(self) -> None:
        """Connect the panel to its handler."""
        act: Any = self.panel.act
        act(self.act, None, self.panel, trigger_mode="multiple", **QUEUED)

    def act(self, event: gr.EventData, request: gr.Request) -> Any:
        """Do what the page asks for, and write it anew; what is refused is said, and leaves it as it is."""
        asked = dict(event._data or {})
        words = self.page.words.heard(request)
        try:
            return self._perform(asked, words)
        except EaselError as error:
            gr.Warning(pieces.plain(explain(error, words)))
            return gr.skip()

    def _perform(self, asked: Mapping[str, Any], words: Words) -> Html:
        """Do it. Raises `EaselError` with what cannot be."""
        act, tab = str(asked.get("act", "")), str(asked.get("tab", ""))
        report = None
        if act == "apply":
            self._apply(str(asked.get("values", "")), words)
        elif act == "restart":
            self.server.options.restart_workers()
            gr.Info(pieces.plain(words.say("settings.restarting")))
        elif act == "import":
            report = self._import(str(asked.get("text", "")))
        elif act in ("keep", "back", "own"):
            if self._fill(act, self._form(tab)):
                return settings_panel.again()
            gr.Info(pieces.plain(words.say("settings.kept_form")))
        elif act != "open":
            raise BadRequest("bad_value", field="act", value=act[:60])
        return self._written(words, report)

    def _apply(self, text: str, words: Words) -> None:
        try:
            values = json.loads(text) if len(text) <= LONGEST else None
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            raise BadRequest("bad_value", field="values", value=text[:60])
        applied = self.server.options.apply(values)
        if applied.aside:
            gr.Warning(pieces.plain(words.say("settings.was_broken", file=applied.aside)))
        lines = [words.say("settings.applied", count=applied.changed)]
        lines += [words.say(f"settings.wait_{each}") for each in sorted(applied.waits)]
        gr.Info(pieces.plain(" ".join(lines)))

    def _import(self, text: str) -> Report:
        fields = {tab: frozenset(form.components) for tab, form in self._forms().items()}
        return take_over(text, self.server, OWNER, fields)

    def _fill(self, act: str, form: Form) -> bool:
        """Keep the form as its defaults, or put it back to them or to Easel's own; say whether it has other values.

        Pictures are no defaults, and stay where they are.
        """
        pictures = [name for name, part in form.components.items() if getattr(part, "visible", True) == "hidden"]
        forms = self.server.forms
        if act == "keep":
            kept = form.restored(forms.load(OWNER, form.tab))
            forms.keep_defaults(OWNER, form.tab, {name: kept[name] for name in kept if name not in pictures})
            return False
        if act == "own":
            forms.forget_defaults(OWNER, form.tab)
        forms.empty(OWNER, form.tab, pictures)
        return True

    def _form(self, tab: str) -> Form:
        forms = self._forms()
        if tab not in forms:
            raise BadRequest("one_of", field="tab", value=tab[:60], allowed=", ".join(forms))
        return forms[tab]

    def _forms(self) -> dict[str, Form]:
        """Return the forms that make pictures, by their tabs."""
        return {tab: form for tab, form in self.page.forms.items() if "prompt" in form.components}

    def _written(self, words: Words, report: Report | None) -> Html:
        kept = {tab: bool(self.server.forms.defaults(OWNER, tab)) for tab in self._forms()}
        return settings_panel.page(self.server.options, kept, words, self.page.words.languages, report)
