"""The tab that makes pictures from words."""

from collections.abc import Sequence

from modules.hooks import hookimpl
from modules.ui.maker import Maker
from modules.ui.tab import Page, Tab

NAME = "txt2img"


@hookimpl
def tabs() -> Sequence[Tab]:
    """Offer this tab."""
    return [Tab(NAME, 10, build)]


def build(page: Page) -> None:
    """Build the tab: components first, then what happens when they are used."""
    Maker(page, NAME).connect()
