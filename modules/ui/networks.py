"""The browser of the models folder below the prompt: its panels, and what happens when they are used."""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.errors import BadRequest, EaselError
from modules.library.pictures import PictureRow
from modules.model_manager.catalog import Catalog
from modules.model_manager.kinds import KINDS, home
from modules.model_manager.model_file import ModelFile
from modules.server.server import Server
from modules.ui import details_panel, networks_panel, pieces
from modules.ui.listeners import QUEUED, QUIET
from modules.ui.networks_panel import Card
from modules.ui.networks_view import PAGE_SIZE, View
from modules.ui.page_words import PageWords, explain
from modules.ui.watch import OWNER, Seen, told
from modules.words import Words

SCRIPT = Path(__file__).parent / "networks.js"
WEIGHT = (0.0, 2.0)  # the preferred weight of a LoRA
TEXT = 20_000  # characters of one field a person writes
TEXTS = ("description", "notes", "trigger_words", "negative_text", "sd_version", "vae")
LONGEST = 500  # characters of a name
Updates = dict[Component, Any]


class Networks:
    """The browser of one tab: its controls, its cards, and the dialog about one file."""

    def __init__(self, server: Server, words: PageWords, name: str) -> None:
        """Make the components inside the open tab; `name` begins their ids."""
        self.server = server
        self.catalog: Catalog = server.catalog
        self.words = words
        self.name = name
        with gr.Column(elem_id=f"{name}_networks", elem_classes="networks", min_width=0):
            self.state = gr.Textbox(View().packed(), visible=False)
            self.wish = gr.Textbox("", visible="hidden", elem_id=f"{name}_networks_wish")
            self.bar = _panel(f"{name}_networks_bar")
            self.cards = _panel(f"{name}_networks_cards")
            self.dialog = _panel(f"{name}_networks_dialog")

    def connect(self, model: gr.Dropdown, seen: Component, changed: gr.Textbox) -> None:
        """Connect the panels to their handlers; what `cards.choose` does, the tab says.

        `model` is the checkpoint selector, `seen` says which picture the page shows, and `changed` changes when the
        models folder does.
        """
        outputs = self.outputs
        self.wish.change(self.look, [self.wish, self.state, model], outputs, trigger_mode="always_last", **QUIET)
        self.bar.act(self.refresh, [self.state, model], outputs, **QUIET)
        for event in (model.change, changed.change):
            renewed = event(self.renew, [self.state, model], outputs, trigger_mode="always_last", **QUIET)
            renewed.then(self.catch_up, [self.wish, self.state, model], outputs, **QUIET)
        told_by = [self.state, model, seen]
        for part in (self.cards, self.dialog):
            part.act(self.act, told_by, [*outputs, self.dialog], trigger_mode="multiple", **QUEUED)

    @property
    def outputs(self) -> list[Component]:
        """Return every component that `load` renews."""
        return [self.state, self.bar, self.cards]

    def load(self, request: gr.Request, model: str) -> Updates:
        """Give a fresh page the browser as it was left."""
        kept = View.told(self.server.forms.load(OWNER, "networks"))
        return self._shown(kept, model, self.words.heard(request), "")

    def look(self, wish: str, state: str, model: str, request: gr.Request) -> Updates:
        """Show what the controls ask for, from the first page on."""
        before = View.unpacked(state)
        view = before.changed(wish)
        self.server.forms.save(OWNER, "networks", view.kept())
        return self._shown(view, model, self.words.heard(request), before.bar)

    def renew(self, state: str, model: str, request: gr.Request) -> Any:
        """Show the same again, as another checkpoint or a change in the models folder has it."""
        view = View.unpacked(state)
        return self._shown(view, model, self.words.heard(request), view.bar) if view.kind else gr.skip()

    def catch_up(self, wish: str, state: str, model: str, request: gr.Request) -> Any:
        """Show what the controls ask for where a late answer has shown something older over it."""
        return gr.skip() if View.unpacked(state).answers(wish) else self.look(wish, state, model, request)

    def refresh(self, state: str, model: str, request: gr.Request) -> Any:
        """Look for new files now."""
        self.catalog.refresh()
        gr.Info(pieces.plain(self.words.heard(request).say("networks.refreshed")))
        return self.renew(state, model, request)

    def act(self, state: str, model: str, seen: str, event: gr.EventData, request: gr.Request) -> Any:
        """Do what a button on a card or in the dialog asks for."""
        words = self.words.heard(request)
        asked: dict[str, Any] = dict(event._data or {})
        view = View.unpacked(state)
        if asked.get("act") == "page":
            turned = View.told({**_values(view), "offset": _number(asked.get("offset"))})
            return self._shown(turned, model, words, view.bar)
        name, kind = str(asked.get("name", ""))[:LONGEST], str(asked.get("kind", ""))
        file = self.catalog.get(name, kind) if kind in KINDS else None
        if file is None:
            gr.Warning(pieces.plain(words.say("networks.gone", name=name)))
            return gr.skip()
        picture = self.server.library.get(told(Seen, seen).picture)
        problem = ""
        try:
            if asked.get("act") == "save":
                self.catalog.save_details(file, written(asked))
                return {**self._shown(view, model, words, view.bar), self.dialog: ""}
            if asked.get("act") == "preview" and picture is not None:
                self.catalog.set_preview(file, picture.path)
        except EaselError as error:
            problem = explain(error, words)
        dialog = self._dialog(self.catalog.get(name, kind) or file, asked, picture, words, problem)
        if asked.get("act") == "preview":
            return {**self._shown(view, model, words, view.bar), self.dialog: dialog}
        return {self.dialog: dialog}

    def _dialog(
        self, file: ModelFile, asked: Mapping[str, Any], picture: PictureRow | None, words: Words, problem: str
    ) -> str:
        """Return the dialog about `file`; what is typed in an open one stays."""
        typed: dict[str, Any] = {name: str(asked[name])[:TEXT] for name in TEXTS if name in asked}
        with contextlib.suppress(BadRequest):
            typed = written(asked)
        details = replace(self.catalog.details(file), **typed)
        vaes = [each.name for each in self.catalog.files("vae") if not each.problem]
        return details_panel.dialog(file, details, vaes, picture, words, problem)

    def _shown(self, view: View, model: str, words: Words, bar: str) -> Updates:
        """Return the updates that show `view` to a page whose controls have the fingerprint `bar`."""
        chosen = self._checkpoint(model)
        family = chosen.family if chosen else ""
        folders = self.catalog.folders(view.kind) if view.kind else []
        if view.folder not in folders:
            view = replace(view, folder="")
        controls = (view.kind, folders, bool(family), words.language)
        mark = blake2b(repr(controls).encode("utf-8", "replace"), digest_size=9).hexdigest()
        view = replace(view, bar=mark)
        updates: Updates = {self.state: view.packed()}
        if mark != bar:
            updates[self.bar] = networks_panel.bar(view, folders, family, words)
        updates[self.cards] = self._cards(view, chosen, words)
        return updates

    def _cards(self, view: View, chosen: ModelFile | None, words: Words) -> str:
        if not view.kind:
            return ""
        fits = view.every or view.kind == "checkpoint" or chosen is None
        wanted = "" if fits or chosen is None else chosen.family
        sort = (view.sort, view.downwards)
        found = self.catalog.search(view.kind, view.words, wanted, view.folder, *sort, view.offset, PAGE_SIZE)
        if view.offset and not found.files:  # there are fewer by now
            view = replace(view, offset=0)
            found = self.catalog.search(view.kind, view.words, wanted, view.folder, *sort, 0, PAGE_SIZE)
        weight = self.server.settings.extra_networks_default_multiplier
        cards = [Card(file, self.catalog.details(file), weight, self._called(file)) for file in found.files]
        folder = str(home(self.server.settings, view.kind))
        return networks_panel.cards(view, cards, found.total, chosen.name if chosen else "", folder, words)

    def _called(self, file: ModelFile) -> str:
        """Return the alias that a tag calls a LoRA by, where that is wanted and means no other file; else nothing."""
        wanted = self.server.options.now.lora_preferred_name == "Alias from file" and file.kind == "lora"
        if not wanted or not file.alias or re.search("[:=<>]", file.alias):
            return ""
        found = self.catalog.get(file.alias, file.kind)
        return file.alias if found is not None and found.path == file.path else ""

    def _checkpoint(self, model: str) -> ModelFile | None:
        with contextlib.suppress(EaselError):
            return self.catalog.find(model or "")
        return None


def written(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a person wrote into the dialog, keyed by the fields of `Details`.

    Raises `BadRequest` when a text is too long or the weight is none.
    """
    found: dict[str, Any] = {name: str(asked[name]).replace("\r\n", "\n") for name in TEXTS if name in asked}
    for name, text in found.items():
        if len(text) > TEXT:
            raise BadRequest("prompt_length", field=name, length=len(text), most=TEXT)
        found[name] = text.encode("utf-8", "replace").decode()
    if "preferred_weight" in asked:
        value = str(asked["preferred_weight"]).strip().replace(",", ".") or "0"
        try:
            weight = float(value)
        except ValueError:
            weight = -1.0
        if not WEIGHT[0] <= weight <= WEIGHT[1]:
            raise BadRequest("number", field="preferred_weight", value=value[:20], least=WEIGHT[0], most=WEIGHT[1])
        found["preferred_weight"] = weight
    return found


def _panel(elem_id: str) -> gr.HTML:
    script = SCRIPT.read_text(encoding="utf-8")
    return gr.HTML("", elem_id=elem_id, js_on_load=script, apply_default_css=False, elem_classes="panel")


def _values(view: View) -> dict[str, Any]:
    return {name: getattr(view, name) for name in View.__dataclass_fields__}


def _number(value: object) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
