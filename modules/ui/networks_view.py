"""Which part of the models folder a page looks at: one tab of the browser, searched, sorted and turned to a page."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Self

PAGE_SIZE = 60  # cards
LONGEST = 200  # characters of a search or of the name of a folder
KINDS = ("lora", "embedding", "hypernetwork", "checkpoint")  # the browser's tabs, in order
SORTS = MappingProxyType({"name": False, "path": False, "created": True, "modified": True})  # does it begin at the end?
KEPT = ("kind", "sort", "descending", "every")  # what a page that is opened again still knows


@dataclass(frozen=True)
class View:
    """What the browser shows. With `kind` "" it is closed; `every` shows the families that do not fit as well."""

    kind: str = ""
    words: str = ""
    folder: str = ""
    sort: str = "name"
    descending: bool = False
    every: bool = False
    offset: int = 0
    bar: str = ""  # the fingerprint of the controls the page has
    at: int = 0  # when the controls asked for it, by the page's clock

    @classmethod
    def told(cls, values: Mapping[str, Any]) -> Self:
        """Read a view from what a page sent; whatever does not fit is left at its default."""
        fresh = cls()
        good: dict[str, Any] = {}
        for each in fields(cls):
            value, before = values.get(each.name), getattr(fresh, each.name)
            if type(value) is type(before) and (not isinstance(value, str) or len(value) <= LONGEST):
                good[each.name] = value
        view = replace(fresh, **good)
        kind = view.kind if view.kind in KINDS else ""
        sort = view.sort if view.sort in SORTS else fresh.sort
        return replace(view, kind=kind, sort=sort, offset=min(max(0, view.offset), 10**6) // PAGE_SIZE * PAGE_SIZE)

    @classmethod
    def unpacked(cls, text: str | None) -> Self:
        """Read a view from the text a page carries."""
        return cls.told(_read(text))

    def changed(self, wish: str | None) -> Self:
        """Return the first page of what the controls of a page ask for; what they do not say stays as it was kept."""
        return self.told({**self.kept(), **_read(wish), "offset": 0})

    def answers(self, wish: str | None) -> bool:
        """Return whether it is what the controls of a page asked for last."""
        return bool(self.at == _read(wish).get("at", 0))

    def packed(self) -> str:
        """Return the view as the text a page carries."""
        return json.dumps(asdict(self))

    def kept(self) -> dict[str, Any]:
        """Return what is worth keeping until the page is opened again."""
        return {name: getattr(self, name) for name in KEPT}

    @property
    def downwards(self) -> bool:
        """Whether the list is sorted from the end: dates begin with the newest, names with the first letter."""
        return self.descending is not SORTS[self.sort]


def _read(text: str | None) -> dict[str, Any]:
    try:
        values = json.loads(text or "{}")
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
