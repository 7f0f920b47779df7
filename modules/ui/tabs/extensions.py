"""The tab that lists the extensions, and shows what is wrong with those that could not be loaded."""

from collections.abc import Sequence

import gradio as gr

from modules.hooks import hookimpl
from modules.plugins import Extension
from modules.ui.markup import Html, element
from modules.ui.opened import when_opened
from modules.ui.tab import Page, Tab
from modules.words import Words


@hookimpl
def tabs() -> Sequence[Tab]:
    """Offer this tab."""
    return [Tab("extensions", 90, build)]


def build(page: Page) -> None:
    """Build the list, written anew for each visitor in their language."""
    shown = gr.HTML("", elem_id="extensions", apply_default_css=False, js_on_load=None)

    def show(request: gr.Request) -> str:
        return listing(
            page.server.plugins.extensions, str(page.server.settings.extensions or ""), page.words.heard(request)
        )

    when_opened(show, [shown])


def listing(extensions: Sequence[Extension], folder: str, words: Words) -> Html:
    """Return the extensions as cards: name, version, description, and the traceback of a broken one."""
    if not extensions:
        return element("p", words.say("ui.extensions_none", folder=folder), cls="none")
    return element("div", *[_card(each, words) for each in extensions], cls="cards")


def _card(extension: Extension, words: Words) -> Html:
    broken = bool(extension.problem)
    state = words.say("ui.extension_broken" if broken else "ui.extension_working")
    return element(
        "article",
        element(
            "header",
            element("h2", extension.name),
            element("span", extension.version, cls="version") if extension.version else None,
            element("span", element("i", cls="dot"), state, cls="worker " + ("lost" if broken else "ready")),
        ),
        element("p", extension.description) if extension.description else None,
        element("details", element("summary", words.say("ui.details")), element("pre", extension.problem), open=True)
        if broken
        else None,
        cls="card",
    )
