"""The tab of every model file: what is on disk, what is loaded, and adding more from an address."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import gradio as gr
import psutil  # type: ignore[import-untyped]
from gradio.components import Component

from modules.errors import BadRequest, EaselError
from modules.hooks import hookimpl
from modules.model_manager.kinds import KINDS, home
from modules.ui import downloads_panel, memory_panel, models_panel, pieces
from modules.ui.listeners import QUEUED, QUIET
from modules.ui.memory_panel import Ram
from modules.ui.models_view import ROWS, Listing, Table, listing, unpacked
from modules.ui.opened import when_opened
from modules.ui.page_words import explain
from modules.ui.tab import Page, Tab
from modules.words import Words

NAME = "models"
SCRIPT = Path(__file__).parent.parent / "models.js"
STEP = 2**26  # bytes; free memory is shown in steps, so that a page at rest stays as it is
LONGEST = 4000  # characters of what a page sends
# Only what is queued can show a toast.


@hookimpl
def tabs() -> Sequence[Tab]:
    """Offer this tab."""
    return [Tab(NAME, 60, build)]


def build(page: Page) -> None:
    """Build the tab."""
    Models(page).connect()


class Models:
    """The panels of the tab, and what happens when they are used."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.server = page.server
        self._listed: tuple[object, Listing] | None = None
        self.homes = {kind: home(page.server.settings, kind) for kind in KINDS}
        with gr.Column(elem_id=NAME, min_width=0):
            # What the page lists and what it was shown travel with it; the server keeps nothing about a page. They are
            # two things, so that a late answer about news cannot undo what the controls have asked for meanwhile.
            self.table = gr.Textbox(Table().packed(), visible=False)
            self.seen = gr.Textbox("{}", visible=False)
            self.panels: dict[str, gr.HTML] = {"memory": _panel("memory")}
            with gr.Column(elem_classes="adding", min_width=0):
                for name in ("add", "hint", "downloads"):
                    self.panels[name] = _panel(name)
            with gr.Column(elem_classes="listing", min_width=0):
                for name in ("bar", "table"):
                    self.panels[name] = _panel(name)

    @property
    def outputs(self) -> list[Component]:
        """Return every component that the handlers renew; only those that were asked for another table renew that."""
        return [self.seen, *self.panels.values()]

    def connect(self) -> None:
        """Connect the panels to their handlers."""
        panels, outputs = self.panels, self.outputs
        told_by, asked = [self.table, self.seen], [self.table, *outputs]
        when_opened(self.load, asked)
        panels["memory"].tick(self.tick, told_by, outputs, **QUIET)
        panels["add"].ask(self.ask, None, panels["hint"], trigger_mode="multiple", **QUIET)
        for name in ("bar", "table"):
            panels[name].look(self.look, told_by, asked, trigger_mode="multiple", **QUIET)
        for name in ("memory", "add", "downloads", "bar", "table"):
            panels[name].act(self.act, told_by, asked, trigger_mode="multiple", **QUEUED)

    def load(self, request: gr.Request) -> Any:
        """Show a fresh page everything."""
        table = Table()
        return {self.table: table.packed(), **self._news(table, {}, self.page.words.heard(request))}

    def tick(self, table: str, seen: str, request: gr.Request) -> Any:
        """Answer a page's question what is new: the parts that changed, or nothing."""
        before = unpacked(seen)
        news = self._news(Table.unpacked(table), before, self.page.words.heard(request)) if before else {}
        return news or gr.skip()

    def ask(self, event: gr.EventData, request: gr.Request) -> str:
        """Say what the address that is being typed seems to be; nobody else is asked."""
        asked = _texts(event)
        kind = asked.get("kind", "")
        words = self.page.words.heard(request)
        return downloads_panel.hint(asked.get("address", ""), kind if kind in KINDS else "", self.homes, words)

    def look(self, table: str, seen: str, event: gr.EventData, request: gr.Request) -> Any:
        """List what the controls ask for."""
        before = Table.unpacked(table)
        asked = dict(event._data or {})
        if asked.pop("turn", False):
            asked["descending"] = not before.descending
        elif asked.get("sort", before.sort) != before.sort:
            asked["descending"] = False
        after = Table.told({**asdict(before), **asked})
        return {self.table: after.packed(), **self._news(after, unpacked(seen), self.page.words.heard(request))}

    def act(self, table: str, seen: str, event: gr.EventData, request: gr.Request) -> Any:
        """Do what a button asks for."""
        listed, shown = Table.unpacked(table), unpacked(seen)
        asked, words = _texts(event), self.page.words.heard(request)
        try:
            self._perform(asked, words)
        except EaselError as error:
            gr.Warning(pieces.plain(explain(error, words)))
            return gr.skip()
        if asked.get("act") == "add":
            shown = {**shown, "add": "", "hint": ""}
        if asked.get("act") != "page":
            return self._news(listed, shown, words) or gr.skip()
        turned = replace(listed, offset=_number(asked.get("offset")) // ROWS * ROWS)
        return {self.table: turned.packed(), **self._news(turned, shown, words)}

    def _perform(self, asked: Mapping[str, str], words: Words) -> None:
        """Do it. Raises `EaselError` with what cannot be."""
        act, id, name, worker = (asked.get(key, "") for key in ("act", "id", "name", "worker"))
        downloads = self.server.downloads
        if act == "add":
            downloads.add(asked.get("address", ""), asked.get("kind", ""), name, asked.get("sha256", ""))
        elif act == "load":
            self.server.load(name)
        elif act == "unload":
            self.server.unload(name, worker)
        elif act == "stop":
            downloads.stop(id)
        elif act == "resume":
            downloads.resume(id)
        elif act == "remove":
            downloads.remove(id)
        elif act == "refresh":
            self.server.catalog.refresh()
            gr.Info(pieces.plain(words.say("networks.refreshed")))
        elif act != "page":
            raise BadRequest("bad_value", field="act", value=act[:60])

    def _news(self, table: Table, seen: Mapping[str, str], words: Words) -> dict[Component, Any]:
        """Return an update for each part that differs from what the page has `seen`; empty when nothing does."""
        found = self._listing(table)
        contents = self._contents(replace(table, offset=found.offset), found, words)
        marks = {name: _short(content) for name, content in contents.items()}
        # What a person types into them is in the page already: it makes them no different.
        marks |= {"add": _short(downloads_panel.form(words)), "bar": _short(models_panel.bar(Table(), found, words))}
        if marks == seen:
            return {}
        updates: dict[Component, Any] = {
            self.panels[name]: content for name, content in contents.items() if marks[name] != seen.get(name)
        }
        return {**updates, self.seen: json.dumps(marks)}

    def _listing(self, table: Table) -> Listing:
        """Return the page of `table`, the same one as before while nothing on the disk is different."""
        key, known = (self.server.catalog.changed, table), self._listed
        if known is None or known[0] != key:
            known = self._listed = (key, listing(self.server.catalog, table))
        return known[1]

    def _contents(self, table: Table, found: Listing, words: Words) -> dict[str, str]:
        workers = self.server.workers
        loaded = {model.name for worker in workers for model in worker.resident}
        return {
            "memory": memory_panel.memory(workers, _ram(), words),
            "add": downloads_panel.form(words, time.monotonic_ns()),
            "hint": downloads_panel.hint("", "", self.homes, words),
            "downloads": downloads_panel.downloads(self.server.downloads.all(), words),
            "bar": models_panel.bar(table, found, words),
            "table": models_panel.rows(table, found, loaded, self.server.settings.models, words),
        }


def _ram() -> Ram:
    found = psutil.virtual_memory()
    return Ram(found.total, found.available // STEP * STEP)


def _panel(name: str) -> gr.HTML:
    script = SCRIPT.read_text(encoding="utf-8")
    return gr.HTML("", elem_id=f"{NAME}_{name}", js_on_load=script, apply_default_css=False, elem_classes="panel")


def _texts(event: gr.EventData) -> dict[str, str]:
    return {str(name): str(value)[:LONGEST] for name, value in dict(event._data or {}).items()}


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else 0


def _short(text: str) -> str:
    return blake2b(text.encode("utf-8", "replace"), digest_size=9).hexdigest()
