"""Two pictures of the gallery beside or over each other, and where their parameters differ, as HTML."""

from types import MappingProxyType

from modules.api.pictures import picture_url
from modules.images import infotext
from modules.library.pictures import PictureRow
from modules.ui.markup import Html, element, icon
from modules.ui.pieces import button
from modules.words import Words

_WORDED = MappingProxyType({"Prompt": "ui.prompt", "Negative prompt": "ui.negative_prompt"})


def compared(rows: tuple[PictureRow, PictureRow], there: tuple[bool, bool], words: Words) -> Html:
    """Return the inside of the dialog; `there` says whether the file of each is."""
    ways = [
        _way("side", words.say("gallery.side_by_side"), True),
        _way("over", words.say("gallery.over"), False),
    ]
    split = element(
        "input", type="range", cls="split", min=0, max=100, value=50, step=0.5, aria_label=words.say("gallery.split")
    )
    return element(
        "div",
        element(
            "div",
            element("div", *ways, cls="ways", role="group", aria_label=words.say("gallery.compare")),
            button("", "minus", words.say("gallery.smaller"), do="smaller"),
            button("", "plus", words.say("gallery.larger"), do="larger"),
            button("", "close", words.say("ui.close"), do="close"),
            cls="top",
        ),
        element("div", *[_figure(*each, words) for each in zip(rows, there, strict=True)], split, cls="panes"),
        _table(rows, words),
        cls="both side",
    )


def differing(one: str, other: str) -> list[tuple[str, str, str]]:
    """Return every entry of two "parameters" texts as (entry, in the one, in the other), in their order."""
    first, second = (_entries(text) for text in (one, other))
    return [(key, first.get(key, ""), second.get(key, "")) for key in first | second]


def _entries(text: str) -> dict[str, str]:
    """Read the entries; a size, which comes in two parts, is one."""
    entries: dict[str, str] = {}
    for key, value in infotext.read(text).items():
        whole = key.removesuffix("-1").removesuffix("-2")
        if whole != key and whole in entries:
            entries[whole] += f"x{value}"
        else:
            entries[whole] = value
    return {key: value for key, value in entries.items() if value}


def _way(name: str, label: str, chosen: bool) -> Html:
    return element("button", label, type="button", data_way=name, aria_pressed="true" if chosen else "false")


def _figure(row: PictureRow, there: bool, words: Words) -> Html:
    lost = element("span", icon("picture"), words.say("gallery.file_gone"), cls="lost")
    image = element("img", src=picture_url(row), alt=row.recipe.prompt or words.say("ui.picture"), draggable="false")
    return element("figure", image if there else lost, element("figcaption", row.path.name))


def _table(rows: tuple[PictureRow, PictureRow], words: Words) -> Html:
    lines = []
    for key, one, other in differing(rows[0].infotext, rows[1].infotext):
        worded = _WORDED.get(key)
        mark = element("span", "≠", title=words.say("gallery.differs"), aria_label=words.say("gallery.differs"))
        differs = one != other
        head = element("th", words.say(worded) if worded else key, mark if differs else None, scope="row")
        lines.append(element("tr", head, element("td", one), element("td", other), cls="differs" if differs else None))
    names = [element("td"), *[element("th", row.path.name, scope="col") for row in rows]]
    caption = element("caption", words.say("gallery.parameters"), cls="sr-only")
    return element("div", element("table", caption, element("thead", element("tr", *names)), element("tbody", *lines)))
