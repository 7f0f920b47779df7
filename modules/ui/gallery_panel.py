"""The gallery as HTML: its controls, its pictures, what can be done with those that are chosen. Pure functions."""

import json
import time
from collections.abc import Collection, Sequence
from types import MappingProxyType

from modules.api.pictures import thumbnail_url
from modules.library.gallery import AT_ONCE, LONGEST_TAG, Choices, Hits
from modules.library.pictures import PictureRow
from modules.library.search import LONGEST, STARS, Search
from modules.ui.markup import Html, element, icon, joined
from modules.ui.pieces import button
from modules.words import Words

SENDS = MappingProxyType({"extras": "extras", "img2img": "img2img_many"})  # tab -> the pile there that takes many
SHOWN_PROMPT = 200  # characters of a prompt that are told of a small picture


def board(words: Words) -> Html:
    """Return the frame: the page fills in the controls and the pictures, and asks for more as it is scrolled."""
    said = {
        "selected": words.say("gallery.selected", count="{count}"),
        "trashed": words.say("gallery.trashed", count="{count}"),
        "restored": words.say("gallery.restored", count="{count}"),
        "deleted": words.say("gallery.deleted", count="{count}"),
        "dropped": words.say("gallery.dropped", count="{count}"),
        "gone": words.say("gallery.files_gone", count="{count}"),
        "gone_one": words.say("gallery.file_gone"),
        "too_many": words.say("errors.too_many_pictures", count="{count}", most=AT_ONCE),
        "confirm_delete": words.say("gallery.confirm_delete", count="{count}"),
        "confirm_empty": words.say("gallery.confirm_empty"),
        "failed": words.say("gallery.failed"),
    }
    return element(
        "div",
        element("div", cls="filters"),
        element("div", *_head(words), cls="head"),
        element("div", cls="grid", role="group", aria_label=words.say("ui.pictures")),
        element("div", cls="end", aria_hidden="true"),
        element(
            "div", *bulk_tools(words), cls="bulk", role="toolbar", aria_label=words.say("gallery.bulk"), hidden=True
        ),
        _notice(words),
        _confirmation(words),
        element("iframe", name="gallery_download", hidden=True, title=words.say("ui.download")),
        cls="board",
        data_words=json.dumps(said, ensure_ascii=False),
        data_most=AT_ONCE,
    )


def filters(search: Search, choices: Choices, words: Words) -> Html:
    """Return the controls of the search, with what there is to choose from."""
    hint = words.say("gallery.search")
    box = element(
        "input",
        type="search",
        name="words",
        value=search.words,
        placeholder=hint,
        aria_label=hint,
        maxlength=LONGEST,
        autocomplete="off",
    )
    size = f"{search.width}x{search.height}" if search.width else ""
    sizes = [(f"{width}x{height}", f"{width} × {height}", count) for (width, height), count in choices.sizes]
    stars = [(str(least), words.say("gallery.stars_least", stars="★" * least), 0) for least in range(1, STARS + 1)]
    models = [(name, _short_name(name), count) for name, count in choices.models]
    lists = [
        _select("model", search.model, models, *_all(words, "model", "ui.model")),
        _select("sampler", search.sampler, _same(choices.samplers), *_all(words, "sampler", "ui.sampler")),
        _select("size", size, sizes, *_all(words, "size", "gallery.size")),
        _select(
            "rating", str(search.rating or ""), stars, words.say("gallery.every_rating"), words.say("gallery.stars")
        ),
        _select("tag", search.tag, _same(choices.tags), *_all(words, "tag", "gallery.tag")),
    ]
    if len(choices.owners) > 1 or search.owner:
        lists.append(_select("owner", search.owner, _same(choices.owners), *_all(words, "owner", "gallery.owner")))
    lists += [_day("since", search, words.say("gallery.since")), _day("until", search, words.say("gallery.until"))]
    reset = element("button", words.say("gallery.reset"), type="button", cls="tool wide", data_do="reset")
    more = element(
        "button",
        words.say("gallery.filters"),
        type="button",
        cls="tool wide more",
        data_do="more",
        aria_expanded="false",
    )
    trash = element(
        "button",
        icon("trash"),
        element("span", words.say("gallery.trash")),
        element("span", f"{choices.trashed:,}", cls="count") if choices.trashed else None,
        type="button",
        cls="tool wide bin",
        data_do="bin",
        aria_pressed="true" if search.trash else "false",
    )
    return element(
        "form",
        element("div", box, more, trash, cls="first"),
        element("div", *lists, reset, cls="rest"),
        role="search",
        cls="gallery-search",
    )


def cells(rows: Sequence[PictureRow], gone: Collection[int], hits: Hits | None, more: bool, words: Words) -> Html:
    """Return a page of pictures; `gone` are the ids of those whose file is not there.

    With it go the `before` of the next page, and how many fit in all where that was counted.
    """
    return element(
        "div",
        *[cell(row, row.id in gone, words) for row in rows],
        data_next=rows[-1].id if more and rows else "",
        data_newest=rows[0].id if rows else 0,
        data_hits=None if hits is None else _hits(hits, words),
        data_until=f"{time.time():.3f}",
    )


def nothing(search: Search, words: Words) -> Html:
    """Return what stands in the place of pictures when there are none."""
    key = "trash_empty" if search == Search(trash=True) else "none_yet" if search == Search() else "nothing"
    return element("div", icon("picture"), element("p", words.say(f"gallery.{key}")), cls="networks-empty")


def cell(row: PictureRow, gone: bool, words: Words) -> Html:
    """Return one small picture, with a box to choose it."""
    prompt = " ".join(row.recipe.prompt.split())[:SHOWN_PROMPT] or words.say("ui.no_prompt")
    shown = element("img", src=thumbnail_url(row), alt="", loading="lazy", decoding="async")
    opener = element(
        "button",
        _gone(words) if gone else shown,
        type="button",
        cls="open",
        title=prompt,
        aria_label=f"{prompt}. {words.say('gallery.file_gone')}" if gone else prompt,
    )
    choose = element("input", type="checkbox", aria_label=words.say("gallery.select_named", name=row.path.name))
    return element(
        "div",
        opener,
        element("label", choose, cls="pick"),
        element("span", "★" * row.rating, cls="rated", aria_label=_rated(row.rating, words)) if row.rating else None,
        cls="cell gone" if gone else "cell",
        data_id=row.id,
        data_rating=row.rating,
    )


def stars(rating: int, words: Words) -> Html:
    """Return five stars to press; the one that is pressed already takes them all away."""
    buttons = [
        element(
            "button",
            "★",
            type="button",
            data_rate=number,
            aria_pressed="true" if number <= rating else "false",
            aria_label=_rated(number, words),
            title=_rated(number, words),
        )
        for number in range(1, STARS + 1)
    ]
    label = words.say("gallery.rating_keys", most=STARS)
    return element("div", *buttons, cls="stars", role="group", aria_label=label, data_rating=rating)


def bulk_tools(words: Words) -> list[Html]:
    """Return what can be done with the chosen pictures, those outside the trash and those in it."""
    label = words.say("gallery.tag_all")
    tag = element(
        "form",
        element("input", name="tag", placeholder=label, aria_label=label, maxlength=LONGEST_TAG, list="gallery_tags"),
        element("button", words.say("gallery.add_tag"), type="submit", cls="tool wide", data_sign="add"),
        element("button", words.say("gallery.remove_tag"), type="submit", cls="tool wide", data_sign="remove"),
        cls="tagging kept",
    )
    return [
        element("strong", cls="chosen", role="status"),
        element("span", stars(0, words), cls="kept"),
        tag,
        _worded("compare", "compare", words.say("gallery.compare"), "kept"),
        _worded("download", "download", words.say("ui.download"), "kept"),
        *[_sender(tab, into, words) for tab, into in SENDS.items()],
        _worded("trash", "trash", words.say("gallery.to_trash"), "kept"),
        _worded("restore", "retry", words.say("gallery.restore"), "binned"),
        _worded("delete", "trash", words.say("gallery.delete"), "binned"),
        _worded("all", "check", words.say("gallery.select_all"), ""),
        _worded("none", "close", words.say("gallery.select_none"), ""),
    ]


def _head(words: Words) -> list[Html]:
    select = element(
        "button", words.say("gallery.select"), type="button", cls="tool wide", data_do="select", aria_pressed="false"
    )
    empty = element("button", words.say("gallery.empty"), type="button", cls="tool wide binned", data_do="empty")
    return [element("p", cls="hits", role="status"), empty, select]


def _notice(words: Words) -> Html:
    undo = element("button", words.say("gallery.undo"), type="button", cls="undo", data_do="undo", hidden=True)
    close = button("", "close", words.say("ui.close"), do="quiet")
    return element("div", element("span", role="status"), undo, close, cls="notice", hidden=True)


def _confirmation(words: Words) -> Html:
    return element(
        "dialog",
        element("p"),
        element(
            "form",
            element("button", words.say("ui.cancel"), cls="tool wide", value=""),
            element("button", words.say("gallery.delete"), cls="tool wide danger", value="yes"),
            method="dialog",
        ),
        cls="confirm",
        aria_label=words.say("gallery.delete"),
    )


def _worded(do: str, drawing: str, label: str, group: str) -> Html:
    return element(
        "button", icon(drawing), element("span", label), type="button", cls=f"tool wide {group}".strip(), data_do=do
    )


def _sender(tab: str, into: str, words: Words) -> Html:
    """Return what sends all that is chosen to another tab; the page writes into it which pictures those are."""
    label = words.say(f"gallery.send_{tab}")
    name = words.say(f"ui.tab_{tab}")
    return element("button", label, type="button", cls="tool wide kept", data_send=tab, data_into=into, data_label=name)


def _gone(words: Words) -> Html:
    return joined(icon("picture"), element("span", words.say("gallery.file_gone")))


def _rated(rating: int, words: Words) -> str:
    return words.say("gallery.rated", rating=rating, most=STARS)


def _hits(hits: Hits, words: Words) -> str:
    return words.say("gallery.hits", count=f"{hits.count:,}" + ("+" if hits.more else ""))


def _short_name(model: str) -> str:
    return model.rpartition("/")[2].removesuffix(".safetensors").removesuffix(".ckpt")


def _same(choices: Sequence[tuple[str, int]]) -> list[tuple[str, str, int]]:
    return [(name, name, count) for name, count in choices]


def _all(words: Words, name: str, label: str) -> tuple[str, str]:
    return words.say(f"gallery.every_{name}"), words.say(label)


def _select(name: str, chosen: str, choices: Sequence[tuple[str, str, int]], every: str, label: str) -> Html:
    """Return a list of (value, label, count); what is chosen stays in it even when there is none of it any more."""
    offered = [*choices]
    if chosen and chosen not in {value for value, *_ in choices}:
        offered.append((chosen, chosen, 0))
    options = [element("option", every, value="")]
    options += [
        element("option", f"{text} ({count:,})" if count else text, value=value, selected=value == chosen)
        for value, text, count in offered
        if value
    ]
    return element("select", *options, name=name, aria_label=label, title=label)


def _day(name: str, search: Search, label: str) -> Html:
    chosen = getattr(search, name)
    box = element("input", type="date", name=name, value=chosen.isoformat() if chosen else "", aria_label=label)
    return element("label", element("span", label), box, cls="day")
