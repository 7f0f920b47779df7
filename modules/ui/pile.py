"""A place for many pictures: dropped, pasted, chosen one by one or as a whole folder, or sent from the gallery."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import gradio as gr

from modules.api.inputs import input_url
from modules.errors import EaselError
from modules.server.server import Server
from modules.ui import pieces
from modules.ui.listeners import QUEUED, QUIET
from modules.ui.markup import Html, element, icon
from modules.ui.page_words import PageWords, explain
from modules.ui.recalling import picture_of
from modules.words import Words

Brought = tuple[str, str]
"""The name of a picture in the inputs, and what its file is called, with the folders it lay in."""

FORMATS = "image/png,image/jpeg,image/webp,image/avif,image/gif,image/bmp,image/tiff"
LONGEST = 200  # characters of a file's name
TOLD = 5  # refused pictures that are named, before they are only counted
SCRIPT = Path(__file__).with_suffix(".js")


class Pile:
    """The panel, and what a page has brought, which travels with it: the server keeps nothing about a page.

    `most` pictures fit in. Ids begin with `name`; what another tab sends comes into "<name>_arrival". With `pastes`
    what is pasted while the tab is in front goes here.
    """

    def __init__(self, server: Server, words: PageWords, name: str, most: int, pastes: bool = False) -> None:
        self.server = server
        self.words = words
        self.most = most
        self.pastes = pastes
        self.brought = gr.Textbox("[]", visible="hidden", elem_id=f"{name}_brought")
        self.arrival = gr.Textbox("", visible="hidden", elem_id=f"{name}_arrival")
        self.script = SCRIPT.read_text(encoding="utf-8")
        self.name = name

    def build(self) -> None:
        """Make the panel where it is to stand."""
        self.panel = gr.HTML(
            self.shown([], self.words.heard(None)),
            elem_id=f"{self.name}_source",
            js_on_load=self.script,
            apply_default_css=False,
            elem_classes="panel",
        )

    @property
    def outputs(self) -> list[Any]:
        """Return what changes when pictures come and go."""
        return [self.brought, self.panel]

    def connect(self) -> None:
        """Connect the panel to its handlers."""
        self.panel.put(self.bring, self.brought, self.outputs, **QUEUED)
        self.panel.act(self.leave_out, self.brought, self.outputs, **QUEUED)
        self.arrival.change(self.arrive, self.arrival, self.outputs, **{**QUIET, "queue": True})

    def shown(self, pictures: Sequence[Brought], words: Words) -> Html:
        """Return the panel with `pictures` on it."""
        return pile(pictures, self.most, words, self.pastes)

    def bring(self, told: str, event: gr.EventData, request: gr.Request) -> Any:
        """Take in pictures that the page has put; say which ones were refused, and why."""
        put = dict(event._data or {})
        words = self.words.heard(request)
        pictures = brought(told)
        for name, title in pairs(put.get("put"), self.most):
            if self.server.inputs.has(name) and name not in [each for each, _ in pictures]:
                pictures.append((name, titled(title)))
        refused = [str(each)[:300] for each in put.get("refused", []) if isinstance(each, str)]
        return self._taken(pictures, refused, words)

    def arrive(self, told: str, request: gr.Request) -> Any:
        """Take pictures that another tab sends, in place of those that were there."""
        words = self.words.heard(request)
        pictures: list[Brought] = []
        refused: list[str] = []
        for name in (told or "").partition(":")[0].split(",")[: self.most + 1]:
            row = picture_of(name, self.server)
            if row is None:
                continue
            try:
                title = row.path.stem if row.id else ""  # a picture somebody brought lies under its hash
                pictures.append((self.server.inputs.put(row.path.read_bytes()), title))
            except OSError:
                refused.append(f"{row.path.name}: {words.say('gallery.file_gone')}")
            except EaselError as error:
                refused.append(f"{row.path.name}: {explain(error, words)}")
        if not pictures and not refused:
            return [gr.skip()] * len(self.outputs)
        return self._taken(pictures, refused, words)

    def leave_out(self, told: str, event: gr.EventData, request: gr.Request) -> Any:
        """Take a picture, or all of them, off the list."""
        asked = dict(event._data or {})
        left = [each for each in brought(told) if asked.get("act") == "remove" and each[0] != asked.get("name")]
        return json.dumps(left), self.shown(left, self.words.heard(request))

    def _taken(self, pictures: list[Brought], refused: list[str], words: Words) -> Any:
        said = refused[:TOLD]
        if len(refused) > TOLD:
            said.append(words.say("extras.more_refused", count=len(refused) - TOLD))
        if len(pictures) > self.most:
            said.append(words.say("extras.too_many", most=self.most))
        if said:
            gr.Warning(pieces.plain("\n".join(said)))
        return json.dumps(pictures[: self.most]), self.shown(pictures[: self.most], words)


def brought(text: str, most: int = 1000) -> list[Brought]:
    """Return the pictures a page carries; what does not fit is left out."""
    try:
        return pairs(json.loads(text or "[]"), most)
    except (ValueError, RecursionError):
        return []


def pairs(told: object, most: int) -> list[Brought]:
    """Return what of an event's value names pictures, one more than `most` at most."""
    listed = told if isinstance(told, list) else []
    return [
        (each[0], each[1])
        for each in listed[: most + 1]
        if isinstance(each, list) and len(each) == 2 and all(isinstance(part, str) for part in each)
    ]


def titled(path: str) -> str:
    """Return what a file is called, with its folders and without its ending. It is shown, and never used as a path."""
    parts = [part for part in PurePosixPath(path.replace("\\", "/")).parts if part not in ("/", ".", "..")]
    return "/".join([*parts[:-1], PurePosixPath(parts[-1]).stem])[-LONGEST:] if parts else ""


def pile(pictures: Sequence[Brought], most: int, words: Words, pastes: bool = False) -> Html:
    """Return the place where pictures are dropped, pasted or chosen, and those that were."""
    chooser = element(
        "label",
        icon("picture"),
        element("span", words.say("extras.drop" if pastes else "extras.drop_only")),
        element("small", words.say("extras.drop_hint", most=most)),
        element("input", type="file", multiple=True, accept=FORMATS, cls="sr-only"),
        cls="drop" + ("" if pictures else " empty"),
        data_pastes=pastes,
    )
    folder = element(
        "label",
        element("span", words.say("extras.folder")),
        element("input", type="file", webkitdirectory=True, multiple=True, cls="sr-only"),
        cls="tool wide folder",
    )
    if not pictures:
        return element("div", chooser, element("div", element("span"), folder, cls="head"), cls="pile")
    clear = element("button", words.say("extras.clear"), type="button", cls="tool wide", data_act="clear")
    head = element("div", element("span", words.say("ui.images", images=len(pictures))), folder, clear, cls="head")
    marks = [_mark(name, title, words) for name, title in pictures]
    return element("div", chooser, head, element("ul", *marks), cls="pile")


def _mark(name: str, title: str, words: Words) -> Html:
    label = words.say("extras.remove", name=title)
    remove = element(
        "button",
        icon("close"),
        type="button",
        cls="tool",
        data_act="remove",
        data_name=name,
        title=label,
        aria_label=label,
    )
    return element("li", element("img", src=input_url(name, "160"), alt=title, loading="lazy"), remove, title=title)
