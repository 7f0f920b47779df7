"""What a picture says of itself, as HTML: a table, what could not be taken over, every text; and how a copy compares.

Pure functions. Whatever stands in a picture is text, and is shown as text.
"""

import math
from collections.abc import Mapping, Sequence

from modules.api.inputs import input_url
from modules.images.compare import CLOSE, Comparison
from modules.server.again import Change
from modules.server.recall import Recalled
from modules.server.views import Job
from modules.ui import result_panel
from modules.ui.markup import Html, element, icon
from modules.ui.recalling import said
from modules.ui.result_panel import sends
from modules.words import Words

NAME = "pnginfo"
SHOWN = 20_000  # characters of one text; the rest would only make the page slow
ROWS = 80  # of the table


def about(name: str, texts: Mapping[str, str], recalled: Recalled, words: Words) -> Html:
    """Return everything about the picture of that name: `texts` as they stand in it, and what was read of them."""
    if not name:
        return Html("")
    if not texts:
        nothing = element("p", words.say("recipes.nothing"), cls="none", role="status")
        return element("div", sends(name, words, NAME), nothing, cls="about")
    return element(
        "div",
        sends(name, words, NAME),
        element("p", words.say("recipes.made_by", tool=recalled.tool), cls="by") if recalled.tool else None,
        _left(recalled, words),
        _table(recalled.fields, words),
        *[_text(key, text, words) for key, text in texts.items()],
        cls="about",
    )


def _left(recalled: Recalled, words: Words) -> Html | None:
    if not recalled.left:
        return None
    lines = [element("li", said(each, words)) for each in recalled.left]
    return element("div", element("h3", words.say("recipes.left")), element("ul", *lines), cls="left", role="status")


def _table(fields: Mapping[str, str], words: Words) -> Html | None:
    rows = [
        element("tr", element("th", key[:200], scope="row"), element("td", _cut(value, words)))
        for key, value in list(_joined(fields).items())[:ROWS]
        if value
    ]
    return element("table", element("tbody", *rows)) if rows else None


def _joined(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the fields with their sizes in one piece again."""
    joined: dict[str, str] = {}
    for key, value in fields.items():
        if key.endswith("-1") and f"{key[:-2]}-2" in fields:
            joined[key[:-2]] = f"{value} × {fields[f'{key[:-2]}-2']}"
        elif not (key.endswith("-2") and f"{key[:-2]}-1" in fields):
            joined[key] = value
    return joined


def _text(key: str, text: str, words: Words) -> Html:
    label = words.say("ui.copy_parameters")
    copy = element("button", icon("copy"), type="button", cls="tool", data_copy="pre", title=label, aria_label=label)
    head = element("div", element("span", key[:200], cls="name"), copy, cls="tools")
    return element("div", head, element("pre", _cut(text, words), tabindex="0"), cls="parameters")


def _cut(text: str, words: Words) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… {words.say('recipes.cut', count=len(text))}"


def again(why_not: str, words: Words) -> Html:
    """Return the button that makes the picture once more, or the sentence that says why that cannot be."""
    if why_not:
        return element("p", words.say("recipes.not_again", reason=why_not), cls="hint")
    return element("button", words.say("recipes.again"), type="button", cls="tool wide", data_act="again")


def waiting(job: Job, words: Words) -> Html:
    """Return how far the copy is."""
    return result_panel.made(job, words)


def verdict(
    name: str,
    made: str,
    found: tuple[Comparison, str] | None,
    changed: Sequence[Change],
    words: Words,
) -> Html:
    """Return how the picture `name` and its copy, of the address `made`, compare; `found` is None for other sizes."""
    if found is None:
        said_of, figures, difference = words.say("recipes.other_size"), "", ""
    else:
        compared, difference = found
        kind = "equal" if compared.equal else "close" if compared.close else "different"
        said_of = words.say(f"recipes.verdict_{kind}", least=f"{CLOSE:g}")
        figures = "" if compared.equal else _figures(compared, words)
    pictures = [(input_url(name), words.say("recipes.then")), (made, words.say("recipes.now"))]
    if difference and figures:
        pictures.append((input_url(difference), words.say("recipes.difference")))
    shown = [
        element(
            "figure",
            element("button", element("img", src=url, alt=label), type="button", cls="open", data_zoom=url),
            element("figcaption", label),
        )
        for url, label in pictures
    ]
    lines = [
        element("li", words.say("recipes.change", name=_called(each.name, words), then=each.then, now=each.now or "-"))
        for each in changed
    ]
    return element(
        "div",
        element("p", element("strong", said_of), cls="said", role="status"),
        element("p", figures, cls="hint") if figures else None,
        element("div", *shown, cls="pictures"),
        element("h3", words.say("recipes.changed" if lines else "recipes.unchanged")),
        element("ul", *lines) if lines else None,
        cls="verdict",
    )


def _figures(compared: Comparison, words: Words) -> str:
    return words.say(
        "recipes.figures",
        psnr="∞" if math.isinf(compared.psnr) else f"{compared.psnr:.1f}",
        ssim="-" if compared.ssim is None else f"{compared.ssim:.4f}",
        worst=compared.worst,
        share=f"{compared.share * 100:.3g}",
    )


def _called(name: str, words: Words) -> str:
    """Return what a factor is called; one that is named after a package, a file or a note is called that."""
    return words.say(f"recipes.factor_{name}") if f"recipes.factor_{name}" in words.sentences else name
