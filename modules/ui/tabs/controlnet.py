"""The tab of ControlNet and its kin: pictures that say what goes where. Its units count on the other tabs as well."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gradio.components import Component

from modules.hooks import hookimpl
from modules.library.pictures import PictureRow
from modules.request import Request
from modules.ui.fields import Form
from modules.ui.maker import Maker
from modules.ui.tab import Page, Tab
from modules.ui.units import TAB, Units, controls_of


@hookimpl
def tabs() -> Sequence[Tab]:
    """Offer this tab."""
    return [Tab(TAB, 40, build)]


def build(page: Page) -> None:
    """Build the tab: components first, then what happens when they are used."""
    ControlNet(page, TAB).connect()


class ControlNet(Maker):
    """The tab: words, and the units beside them."""

    def build(self, form: Form) -> None:
        """Build the units."""
        self.units = Units(self.server, self.words, form)

    def besides(self) -> dict[str, Component]:
        """Return the files of batches."""
        return self.units.besides()

    def controls(self, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the units of this tab's own form."""
        return controls_of(self.server, values)

    def asked(self, values: Mapping[str, Any]) -> list[Request]:
        """Return the request, or one for each picture where a unit has many."""
        requests = []
        for form in self.units.batches(values):
            plain = {name: value for name, value in form.items() if not name.startswith("unit_")}
            requests.append(self.request(plain, form))
        return requests

    def taken(self, row: PictureRow) -> Iterator[tuple[str, Any]]:
        """Take the picture as the first unit's, and what it was made with."""
        yield from super().taken(row)
        yield from (("unit_0/image", self.server.inputs.put(row.path.read_bytes())), ("unit_0/enabled", True))

    def connect(self) -> None:
        """Connect the components."""
        super().connect()
        self.units.connect(self.keeper)
