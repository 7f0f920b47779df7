"""The styles beside the prompt: a list to choose from, and the dialog in which they are made, changed and deleted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.errors import EaselError
from modules.prompts.styles import Style, applied
from modules.server.server import Server
from modules.ui import pieces, styles_panel
from modules.ui.fields import Form
from modules.ui.listeners import AS_TYPED, QUEUED
from modules.ui.markup import joined
from modules.ui.page_words import PageWords, explain
from modules.ui.watch import OWNER
from modules.words import Words

SCRIPT = Path(__file__).parent / "styles.js"
FIELD = "styles"
LONGEST = 500  # characters of a name that a page tells
Updates = dict[Component, Any]


class StylesBox:
    """The list and the dialog of one tab."""

    def __init__(self, server: Server, words: PageWords, form: Form) -> None:
        """Make the components inside the open tab, and add the list to `form`."""
        self.server = server
        self.words = words
        self.form = form
        with gr.Row(elem_classes="styles"):
            # A name that is not in the list reaches the server all the same, which answers with those that are.
            self.box = gr.Dropdown(
                styles_panel.choices(server),
                value=[],
                multiselect=True,
                label=words("styles"),
                elem_id=f"{form.tab}_styles",
                allow_custom_value=True,
                min_width=0,
            )
            script = SCRIPT.read_text(encoding="utf-8")
            self.panel = gr.HTML(
                "", elem_id=f"{form.tab}_styles_panel", js_on_load=script, apply_default_css=False, elem_classes="panel"
            )
        form.add(FIELD, self.box)

    def connect(self) -> None:
        """Connect the buttons to their handler."""
        fields = [self.box, self.form.components["prompt"], self.form.components["negative_prompt"]]
        act: Any = self.panel.act
        act(self.act, fields, [self.panel, *fields], trigger_mode="multiple", **AS_TYPED, **QUEUED)

    def load(self, words: Words) -> Updates:
        """Give a fresh page the buttons."""
        return {self.panel: styles_panel.bar(words)}

    def act(self, chosen: Any, prompt: str, negative: str, event: gr.EventData, request: gr.Request) -> Any:
        """Do what a button asks for: in the prompts, or in the dialog."""
        words = self.words.heard(request)
        asked = {str(name): str(value) for name, value in dict(event._data or {}).items()}
        names = [str(each) for each in chosen or ()]
        if asked.get("act") == "apply":
            return self._into_prompts(names, prompt or "", negative or "", words)
        return self._in_dialog(asked, names, words)

    def _into_prompts(self, names: list[str], prompt: str, negative: str, words: Words) -> Any:
        """Write the chosen styles into the prompts, and choose none."""
        try:
            prompt, negative = applied(self.server.styles.find(names), prompt, negative)
        except EaselError as error:
            gr.Warning(pieces.plain(explain(error, words)))
            return gr.skip()
        values: dict[str, Any] = {FIELD: [], "prompt": prompt, "negative_prompt": negative}
        self.server.forms.update(OWNER, self.form.tab, values)
        return {self.form.components[name]: value for name, value in values.items()}

    def _in_dialog(self, asked: Mapping[str, str], chosen: list[str], words: Words) -> Updates:
        """Show the dialog after what is asked has been done; what is typed stays where it could not be."""
        act, was = asked.get("act", ""), asked.get("was", "")[:LONGEST]
        typed = Style(asked.get("name", "").strip(), _text(asked, "prompt"), _text(asked, "negative_prompt"))
        updates: Updates = {}
        problems: list[str] = []
        said = ""
        try:
            if act == "save":
                self.server.styles.save(typed, was)
                updates = self._chosen([typed.name if name == was else name for name in chosen])
                said, was = words.say("styles.saved", name=typed.name), typed.name
            elif act == "delete":
                self.server.styles.delete(was)
                updates = self._chosen([name for name in chosen if name != was])
                said, was, typed = words.say("styles.deleted", name=was), "", Style("")
            elif act in ("edit", "pick"):
                was = asked.get("pick", "")[:LONGEST] if act == "pick" else next(iter(chosen), "")
                typed = self._known(was)
                was = typed.name
        except EaselError as error:
            problems.append(explain(error, words))
        problems += [explain(error, words) for error in self.server.styles.broken()]
        every = [style.name for style in self.server.styles.all()]
        files = self.server.styles.paths()
        sheet = styles_panel.dialog(typed, was, every, files, words, problems, said, sure=act == "sure")
        return {**updates, self.panel: joined(styles_panel.bar(words), sheet)}

    def _known(self, name: str) -> Style:
        """Return the style of that name; an empty one where there is none."""
        return next((style for style in self.server.styles.all() if style.name == name), Style(""))

    def _chosen(self, names: list[str]) -> Updates:
        self.server.forms.update(OWNER, self.form.tab, {FIELD: names})
        return {self.box: gr.update(choices=styles_panel.choices(self.server), value=names)}


def _text(asked: Mapping[str, str], name: str) -> str:
    """Return a text of the dialog as a prompt has it: browsers send line breaks as two characters."""
    return asked.get(name, "").replace("\r\n", "\n").encode("utf-8", "replace").decode()
