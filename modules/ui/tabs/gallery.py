"""The tab of everything made so far: searching, stars, tags, the trash, comparing two.

What the page shows comes from the routes below `/easel/gallery`; here only its frame is made.
"""

from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from modules.hooks import hookimpl
from modules.ui import gallery_panel
from modules.ui.markup import Html, element
from modules.ui.opened import when_opened
from modules.ui.page_words import PageWords
from modules.ui.tab import Page, Tab
from modules.words import Words

NAME = "gallery"
SCRIPTS = Path(__file__).parent.parent


@hookimpl
def tabs() -> Sequence[Tab]:
    """Offer this tab."""
    return [Tab(NAME, 55, build)]


def build(page: Page) -> None:
    """Build the tab."""
    with gr.Column(elem_id=NAME, min_width=0):
        board, views = _panel("board", "gallery.js"), _panel("views", "gallery_views.js")
    frame = _Frame(page.words)
    when_opened(frame.load, [board, views])


class _Frame:
    """Gives a fresh page the frame of the gallery, in the language of its browser."""

    def __init__(self, words: PageWords) -> None:
        self._words = words

    def load(self, request: gr.Request) -> tuple[Html, Html]:
        """Return the board and the dialogs."""
        words = self._words.heard(request)
        return gallery_panel.board(words), dialogs(words)


def dialogs(words: Words) -> Html:
    """Return the two dialogs, which the page fills when it opens them."""
    return element(
        "div",
        element("dialog", cls="gallery-details", aria_label=words.say("gallery.details")),
        element("dialog", cls="gallery-compare", aria_label=words.say("gallery.compare")),
    )


def _panel(name: str, script: str) -> gr.HTML:
    text = (SCRIPTS / script).read_text(encoding="utf-8")
    return gr.HTML("", elem_id=f"{NAME}_{name}", js_on_load=text, apply_default_css=False, elem_classes="panel")
