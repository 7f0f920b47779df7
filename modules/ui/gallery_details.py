"""One picture of the gallery with everything about it, as HTML. Pure functions."""

from collections.abc import Sequence

from modules.api.pictures import picture_url
from modules.library.gallery import LONGEST_TAG
from modules.library.pictures import PictureRow
from modules.ui.gallery_panel import stars
from modules.ui.markup import Html, element, icon
from modules.ui.pieces import button
from modules.ui.result_panel import sends
from modules.words import Words

TEXT = "gallery_text"  # the id of the parameters, for the button that copies them


def details(row: PictureRow, there: bool, tags: Sequence[str], known: Sequence[str], words: Words) -> Html:
    """Return the inside of the dialog; `there` says that the picture's file is, `known` are tags that are offered."""
    return element(
        "div",
        element(
            "div",
            _picture(row, there, words),
            button("", "left", words.say("gallery.previous"), do="previous"),
            button("", "right", words.say("gallery.next"), do="next"),
            cls="shown",
        ),
        element(
            "div",
            element(
                "div",
                element("h2", row.path.name),
                button("", "close", words.say("ui.close"), do="close"),
                cls="top",
            ),
            element("div", *tools(row, there, words), cls="row-of-tools"),
            stars(row.rating, words) if row.trashed is None else None,
            _tags(tags, known, words) if row.trashed is None else None,
            element("p", " · ".join(_facts(row)), cls="facts"),
            element("pre", row.infotext, id=TEXT, tabindex="0"),
            cls="about",
        ),
        cls="view",
        data_id=row.id,
    )


def tools(row: PictureRow, there: bool, words: Words) -> list[Html]:
    """Return what can be done with the picture: one button for each."""
    copy = _tool("copy", words.say("ui.copy_parameters"), data_copy=f"#{TEXT}")
    if row.trashed is not None:
        return [
            copy,
            _tool("retry", words.say("gallery.restore"), data_do="restore"),
            _tool("trash", words.say("gallery.delete"), data_do="delete"),
        ]
    if not there:
        return [copy, _tool("trash", words.say("gallery.drop"), data_do="drop")]
    download = element(
        "a",
        icon("download"),
        element("span", words.say("ui.download")),
        cls="tool wide",
        href=picture_url(row, download=True),
        download=row.path.name,
    )
    return [copy, download, _tool("trash", words.say("gallery.to_trash"), data_do="trash"), sends(row.id, words)]


def _tool(drawing: str, label: str, **data: str) -> Html:
    return element("button", icon(drawing), element("span", label), type="button", cls="tool wide", **data)


def _picture(row: PictureRow, there: bool, words: Words) -> Html:
    if not there:
        return element("div", icon("picture"), element("p", words.say("gallery.file_gone")), cls="lost", role="status")
    url, label = picture_url(row), words.say("ui.open_full")
    image = element("img", src=url, alt=row.recipe.prompt or words.say("ui.picture"))
    return element("button", image, type="button", cls="open", data_zoom=url, aria_label=label, title=label)


def _tags(tags: Sequence[str], known: Sequence[str], words: Words) -> Html:
    label = words.say("gallery.new_tag")
    chips = [
        element(
            "li",
            element("span", tag),
            element(
                "button",
                icon("close"),
                type="button",
                data_untag=tag,
                aria_label=words.say("gallery.remove_named", tag=tag),
                title=words.say("gallery.remove_named", tag=tag),
            ),
        )
        for tag in tags
    ]
    box = element("input", name="tag", placeholder=label, aria_label=label, maxlength=LONGEST_TAG, list="gallery_tags")
    return element(
        "form",
        element("ul", *chips, aria_label=words.say("gallery.tags")) if chips else None,
        element("div", box, element("button", words.say("gallery.add_tag"), type="submit", cls="tool wide"), cls="one"),
        element("datalist", *[element("option", value=tag) for tag in known], id="gallery_tags"),
        cls="tagging",
    )


def _facts(row: PictureRow) -> list[str]:
    return [row.created.astimezone().strftime("%Y-%m-%d %H:%M"), f"{row.width} × {row.height}", row.owner]
