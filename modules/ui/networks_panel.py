"""The browser of the models folder as HTML: its controls, and cards a page at a time.

Pure functions of what is to be shown. What a click on a card does to the prompt happens in `networks.js`, by the
card's `data-` attributes; everything else is a control with `data-act`, an event for the server.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from modules.api.models import preview_url
from modules.model_manager.model_file import Details, ModelFile
from modules.ui.markup import Html, element, icon, joined
from modules.ui.networks_view import KINDS, PAGE_SIZE, SORTS, View
from modules.ui.page_words import sentence
from modules.ui.pieces import button
from modules.words import Words

TAGS = MappingProxyType({"lora": "lora", "hypernetwork": "hypernet"})  # what a tag in the prompt is called


@dataclass(frozen=True)
class Card:
    """A file with what a card needs to know of it."""

    file: ModelFile
    details: Details
    weight: float = 1.0  # of a tag, where a person has written down none
    called: str = ""  # in the prompt; empty: as the file is


def bar(view: View, folders: Sequence[str], family: str, words: Words) -> Html:
    """Return the tabs, and the controls of the open one; `family` is the chosen checkpoint's."""
    tabs = [
        element(
            "button",
            words.say(f"networks.kind_{kind}"),
            type="button",
            role="tab",
            data_kind=kind,
            aria_selected="true" if kind == view.kind else "false",
        )
        for kind in KINDS
    ]
    strip = element("div", *tabs, cls="kinds", role="tablist", aria_label=words.say("networks.title"))
    return element("div", strip, _filters(view, folders, family, words) if view.kind else None, cls="networks-bar")


def _filters(view: View, folders: Sequence[str], family: str, words: Words) -> Html:
    hint = words.say("networks.search")
    folder = words.say("networks.folder")
    sort = words.say("networks.sort")
    places = [("", words.say("networks.every_folder")), *[(each, each) for each in folders if each]]
    orders = [(each, words.say(f"networks.sort_{each}")) for each in SORTS]
    direction = words.say("networks.descending")
    fits = element("input", type="checkbox", data_state="every", checked=view.every)
    return element(
        "div",
        element(
            "input",
            type="search",
            data_state="words",
            value=view.words,
            placeholder=hint,
            aria_label=hint,
            maxlength=200,
        ),
        _select("folder", places, view.folder, folder) if len(places) > 1 else None,
        _select("sort", orders, view.sort, sort),
        element(
            "button",
            icon("sort"),
            type="button",
            cls="tool",
            data_state="descending",
            aria_pressed="true" if view.descending else "false",
            title=direction,
            aria_label=direction,
        ),
        element("label", fits, element("span", words.say("networks.every_family")), cls="check checkbox-container")
        if family and view.kind != "checkpoint"
        else None,
        element("span", cls="space"),
        button("refresh", "retry", words.say("networks.refresh")),
        button("close", "close", words.say("ui.close")),
        cls="filters",
    )


def _select(name: str, choices: Sequence[tuple[str, str]], chosen: str, label: str) -> Html:
    options = [element("option", text, value=value, selected=value == chosen) for value, text in choices]
    return element("select", *options, data_state=name, aria_label=label, title=label)


def cards(view: View, found: Sequence[Card], total: int, model: str, home: str, words: Words) -> Html:
    """Return one page of cards and where it stands in the whole; `model` is the name of the chosen checkpoint.

    `home` is the folder new files of this kind belong into, named when there are none.
    """
    if not view.kind:
        return Html("")
    if not total:
        searched = view.words or view.folder
        said = words.say("networks.nothing_found") if searched else words.say("networks.empty", folder=home)
        return element("div", icon("picture"), element("p", said), cls="networks-empty")
    shown = element("div", *[_card(each, model, words) for each in found], cls="model-cards")
    return joined(shown, _pager(view, len(found), total, words))


def _pager(view: View, shown: int, total: int, words: Words) -> Html:
    before, after = view.offset - PAGE_SIZE, view.offset + PAGE_SIZE
    counted = words.say("networks.shown", first=view.offset + 1, last=view.offset + shown, total=f"{total:,}")
    return element(
        "div",
        element("span", counted, aria_live="polite"),
        button("page", "left", words.say("networks.previous"), offset=before) if before >= 0 else None,
        button("page", "right", words.say("networks.next"), offset=after) if after < total else None,
        cls="pager",
    )


def _card(card: Card, model: str, words: Words) -> Html:
    file = card.file
    about = words.say("networks.details_of", name=file.name)
    info = button("details", "info", about, kind=file.kind, name=file.name)
    picture = cover(file, card.details)
    marks = element("span", file.family.upper(), cls="family") if file.family else None
    name = file.stem if file.kind == "checkpoint" else file.name
    label = [element("strong", *_breakable(name))]
    if file.problem:
        reason = why_broken(file, words)
        broken = element("span", words.say("networks.broken"), cls="family bad")
        body = element(
            "div", picture, broken, element("span", *label, element("small", reason), cls="label"), cls="take"
        )
        return element("article", body, info, cls="model-card broken", title=reason)
    if below := card.details.description[:200] or file.folder:
        label.append(element("small", *_breakable(below)))
    taken = element(
        "button",
        picture,
        marks,
        element("span", *label, cls="label"),
        type="button",
        cls="take",
        title=_place(file),
        **_click(card, model),
    )
    return element("article", taken, info, cls="model-card")


def cover(file: ModelFile, details: Details) -> Html:
    """Return the picture beside a file, or its first letters on a colour of its own."""
    url = preview_url(file, details.preview)
    if url:
        return element("img", src=url, alt="", loading="lazy", decoding="async")
    hue = zlib.crc32(file.name.encode("utf-8", "replace")) % 360
    letters = "".join(part[0] for part in file.stem.replace("_", " ").replace("-", " ").split()[:2]).upper()
    return element("span", letters, cls="blank", style=f"--hue:{hue}", aria_hidden="true")


def _breakable(name: str) -> list[str]:
    """Return `name` in pieces between which a line may break: after an underscore, dot or slash."""
    parts: list[str] = []
    for each in re.split(r"(?<=[_./-])", name):
        parts += [each, Html("<wbr>")]
    return parts[:-1]


def why_broken(file: ModelFile, words: Words) -> str:
    """Return why a file cannot be used; its name stands for its whole path."""
    values = {name: file.path.name if value == str(file.path) else value for name, value in file.problem_values.items()}
    return sentence(file.problem, values, words)


def _click(card: Card, model: str) -> dict[str, str]:
    """What a click on a card does: it chooses a checkpoint, and takes anything else into the prompt or out again."""
    file, details = card.file, card.details
    if file.kind == "checkpoint":
        chosen = "true" if file.name == model else "false"
        return {"data_act": "choose", "data_name": file.name, "aria_pressed": chosen}
    weight = f"{details.preferred_weight or card.weight:g}"
    # A tag takes such a name apart; the hash finds the file as well.
    name = file.hash if file.kind in TAGS and re.search("[:=]", file.name) and file.hash else file.name
    said = {"data_take": TAGS.get(file.kind, "word"), "data_name": name, "data_weight": weight}
    if card.called:
        said |= {"data_name": card.called, "data_alias": file.name}
    elif file.alias:
        said["data_alias"] = file.alias
    if details.trigger_words and file.kind == "lora":
        said["data_words"] = details.trigger_words
    if details.negative_text and file.kind == "lora":
        said["data_negative"] = details.negative_text
    return said | {"aria_pressed": "false"}


def _place(file: ModelFile) -> str:
    return f"{file.folder}/{file.path.name}" if file.folder else file.path.name
