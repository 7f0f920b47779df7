"""Looking through the files of one kind: a page at a time, by words, family and folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple

from modules.model_manager.model_file import ModelFile, Page


class Line(NamedTuple):
    """A file in a list of thousands, of which a page will be shown: what is looked at, and where it lies."""

    name: str
    folder: str
    file: str
    alias: str
    sha256: str
    family: str
    problem: str
    size: int
    modified: int
    created: int
    place: str


Listed = ModelFile | Line

SORTS: MappingProxyType[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "name": lambda file: file.name.lower(),
        "path": lambda file: (file.folder.lower(), file.name.lower()),
        "created": attrgetter("created"),
        "modified": attrgetter("modified"),
        "size": attrgetter("size"),
        "family": lambda file: (file.family, file.name.lower()),
    }
)


def _itself(file: Any) -> ModelFile | None:
    return file if isinstance(file, ModelFile) else None


class View:
    """The files of one kind at one moment, made ready for searching; `full` makes those of a page."""

    def __init__(self, files: Sequence[Listed], full: Callable[[Any], ModelFile | None] = _itself) -> None:
        self._files = sorted(files, key=SORTS["name"])
        self._texts = [_text(file) for file in self._files]
        self._full = full
        self.folders = _folders({file.folder for file in files})

    def search(
        self, words: str, family: str, folder: str, sort: str, descending: bool, offset: int, limit: int
    ) -> Page:
        """Return a page of what fits, as `Catalog.search` says."""
        found: Sequence[Listed] = self._files
        if wanted := words.lower().split():
            pairs = zip(self._files, self._texts, strict=True)
            found = [file for file, text in pairs if all(word in text for word in wanted)]
        if family:
            found = [file for file in found if file.family in (family, "")]
        if folder:
            found = [file for file in found if file.folder == folder or file.folder.startswith(f"{folder}/")]
        if descending or sort in SORTS.keys() - {"name"}:
            found = sorted(found, key=SORTS.get(sort, SORTS["name"]), reverse=descending)
        found = [file for file in found if not file.problem] + [file for file in found if file.problem]
        part = found[max(0, offset) :][: max(0, limit)]
        return Page([file for each in part if (file := self._full(each)) is not None], len(found))


def _text(file: Listed) -> str:
    return f"{file.folder}/{file.file} {file.name} {file.alias} {file.sha256}".lower()


def _folders(direct: set[str]) -> list[str]:
    above = {str(parent) for folder in direct for parent in PurePosixPath(folder).parents}
    return sorted((direct | above) - {"", "."}, key=str.lower)
