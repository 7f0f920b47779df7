"""The styles' list as choices, their buttons and their dialog as HTML."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from modules.prompts.styles import Style
from modules.request import PROMPT_LENGTH, STYLE_NAME
from modules.server.server import Server
from modules.ui.markup import Html, element, icon
from modules.ui.pieces import button
from modules.words import Words


def choices(server: Server) -> list[tuple[str, str]]:
    """Return what the list offers, as (label, name); with several files the label says which one it is from."""
    files = server.styles.files()
    several = len(set(files.values())) > 1
    return [(f"{name} · {path.stem}" if several else name, name) for name, path in files.items()]


def bar(words: Words) -> Html:
    """Return the buttons beside the list of styles."""
    return element(
        "div",
        button("apply", "check", words.say("styles.apply")),
        button("edit", "pencil", words.say("styles.edit")),
        cls="styles-bar",
    )


def dialog(
    style: Style,
    was: str,
    names: Sequence[str],
    files: Sequence[Path],
    words: Words,
    problems: Sequence[str] = (),
    said: str = "",
    sure: bool = False,
) -> Html:
    """Return the dialog on `style`, which is kept under the name `was` ("" for a new one); it opens in the page.

    `names` are those of every style, `files` where they are kept, `problems` sentences on what went wrong, `said` one
    on what went right. `sure` asks whether the style is to be deleted.
    """
    close = words.say("ui.close")
    head = element(
        "header",
        element("h2", words.say("styles.title")),
        element("button", icon("close"), type="button", cls="tool", data_close=True, title=close, aria_label=close),
    )
    form = element(
        "form",
        element("p", "\n".join(problems), role="alert", cls="fault") if problems else None,
        element("p", said, role="status", cls="said") if said else None,
        element("div", *_fields(style, was, names, words), cls="written"),
        element("p", words.say("styles.kept", files=", ".join(str(each) for each in files)), cls="hint"),
        _footer(style, was, words, sure),
        data_was=was,
        method="dialog",
    )
    # The moment makes two openings of the same dialog differ, so that the page opens it each time.
    label = words.say("styles.title")
    return element("dialog", head, form, cls="model-details styles", data_at=time.monotonic_ns(), aria_label=label)


def _fields(style: Style, was: str, names: Sequence[str], words: Words) -> Iterator[Html]:
    options = [element("option", words.say("styles.new"), value="", selected=not was)]
    options += [element("option", name, value=name, selected=name == was) for name in names]
    yield element("label", element("span", words.say("ui.styles")), element("select", *options, name="pick"))
    box = element("input", type="text", name="name", value=style.name, maxlength=STYLE_NAME, required=True)
    yield element("label", element("span", words.say("styles.name")), box)
    yield _area("prompt", style.prompt, words.say("ui.prompt"))
    yield _area("negative_prompt", style.negative_prompt, words.say("ui.negative_prompt"))
    hint = element("small", words.say("styles.hint", place="{prompt}"))
    take = element("button", words.say("styles.take"), type="button", cls="plain", data_take=True)
    yield element("div", hint, take, cls="below")


def _area(name: str, value: str, label: str) -> Html:
    area = element("textarea", Html("\n"), value, name=name, rows=3, maxlength=PROMPT_LENGTH)
    return element("label", element("span", label), area)


def _footer(style: Style, was: str, words: Words, sure: bool) -> Html:
    keep = element("button", words.say("styles.save"), type="submit", cls="strong", data_act="save")
    cancel = element("button", words.say("ui.close"), type="button", cls="plain", data_close=True)
    if not was:
        return element("footer", cancel, keep)
    if sure:
        question = element("span", words.say("styles.sure", name=was), role="alert", cls="sure")
        yes = element("button", words.say("styles.delete"), type="button", cls="plain", data_act="delete")
        no = element("button", words.say("styles.keep"), type="button", cls="plain", data_act="pick", data_pick=was)
        return element("footer", question, yes, no)
    away = element("button", words.say("styles.delete"), type="button", cls="plain", data_act="sure")
    return element("footer", away, cancel, keep)
