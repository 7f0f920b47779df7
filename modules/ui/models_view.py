"""Which files the Models tab lists: of every kind or one, searched, sorted, a page at a time."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Self

from modules.model_manager.catalog import Catalog
from modules.model_manager.kinds import KINDS
from modules.model_manager.model_file import ModelFile

ROWS = 50  # of one page
LONGEST = 200  # characters of a search
_PLACE = MappingProxyType({kind: place for place, kind in enumerate(KINDS)})
STATES = ("", "usable", "broken", "twice")
SORTS = MappingProxyType(
    {
        "name": lambda file: (file.name.lower(),),
        "kind": lambda file: (_PLACE[file.kind], file.name.lower()),
        "family": lambda file: (file.family, file.name.lower()),
        "size": lambda file: (file.size, file.name.lower()),
        "modified": lambda file: (file.modified, file.name.lower()),
        "place": lambda file: (str(file.path).lower(),),
    }
)
DOWNWARDS = frozenset({"size", "modified"})  # begin with the largest and the newest


@dataclass(frozen=True)
class Table:
    """What is listed. `kind` "" is every kind; `state`: "" everything, usable, broken, or twice (same content)."""

    kind: str = ""
    words: str = ""
    state: str = ""
    sort: str = "kind"
    descending: bool = False
    offset: int = 0

    @classmethod
    def told(cls, values: Mapping[str, Any]) -> Self:
        """Read it from what a page sent; whatever does not fit is left at its default."""
        fresh = cls()
        good: dict[str, Any] = {}
        for each in fields(cls):
            value, before = values.get(each.name), getattr(fresh, each.name)
            if type(value) is type(before) and (not isinstance(value, str) or len(value) <= LONGEST):
                good[each.name] = value
        table = replace(fresh, **good)
        return replace(
            table,
            kind=table.kind if table.kind in KINDS else "",
            state=table.state if table.state in STATES else "",
            sort=table.sort if table.sort in SORTS else fresh.sort,
            offset=min(max(0, table.offset), 10**6) // ROWS * ROWS,
        )

    @classmethod
    def unpacked(cls, text: str | None) -> Self:
        """Read it from the text a page carries."""
        return cls.told(unpacked(text))

    def packed(self) -> str:
        """Return it as the text a page carries."""
        return json.dumps(asdict(self))


def unpacked(text: str | None) -> dict[str, Any]:
    """Return the object in the text a page carries; empty when there is none."""
    try:
        given = json.loads(text or "{}")
    except ValueError:
        return {}
    return given if isinstance(given, dict) else {}


@dataclass(frozen=True)
class Listing:
    """One page of the table with what it is a part of; a group are files of the same content, else each is alone."""

    groups: Sequence[Sequence[ModelFile]]
    total: int  # files that fit
    size: int  # bytes of all of them
    offset: int
    counts: Mapping[str, int]  # files of each kind, whatever is searched
    twins: Mapping[str, Sequence[ModelFile]]  # path -> the files with the same content, itself among them
    freed: int = 0  # bytes that the further copies take, where copies are listed


def listing(catalog: Catalog, table: Table) -> Listing:
    """Return the page of `table`."""
    counts = {kind: catalog.search(kind, limit=0).total for kind in KINDS}
    copies = catalog.duplicates()
    twins = {str(file.path): group for group in copies for file in group}
    groups: list[Sequence[ModelFile]]
    freed = 0
    if table.state == "twice":
        fitting = {file.path for file in _found(catalog, table, sum(counts.values()))}
        groups = [group for group in copies if any(file.path in fitting for file in group)]
        groups.sort(key=spare, reverse=True)
        freed = sum(spare(group) for group in groups)
    else:
        files = [file for file in _found(catalog, table, max(counts.values(), default=0)) if _fits(file, table)]
        downwards = table.descending != (table.sort in DOWNWARDS)
        files.sort(key=SORTS[table.sort], reverse=downwards)
        files.sort(key=lambda file: bool(file.problem))
        groups = [[file] for file in files]
    offset = table.offset if table.offset < len(groups) else 0
    listed = [file for group in groups for file in group]
    size = sum(file.size for file in listed)
    return Listing(groups[offset : offset + ROWS], len(listed), size, offset, counts, twins, freed)


def spare(group: Sequence[ModelFile]) -> int:
    """Return how many bytes the copies of one content take beyond the first; a link takes none."""
    return group[0].size * (sum(not os.path.islink(file.path) for file in group) - 1)


def _found(catalog: Catalog, table: Table, most: int) -> Iterable[ModelFile]:
    for kind in [table.kind] if table.kind else KINDS:
        yield from catalog.search(kind, table.words, limit=most).files


def _fits(file: ModelFile, table: Table) -> bool:
    return table.state == "" or (table.state == "broken") == bool(file.problem)
