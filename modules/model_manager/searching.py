"""Looking through the files of one kind: a page at a time, by words, family and folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

from modules.model_manager.model_file import ModelFile, Page

SORTS: MappingProxyType[str, Callable[[ModelFile], Any]] = MappingProxyType(
    {
        "name": lambda file: file.name.lower(),
        "path": lambda file: (file.folder.lower(), file.name.lower()),
        "created": lambda file: file.created,
        "modified": lambda file: file.modified,
        "size": lambda file: file.size,
        "family": lambda file: (file.family, file.name.lower()),
    }
)


class View:
    """The files of one kind at one moment, made ready for searching."""

    def __init__(self, files: Sequence[ModelFile]) -> None:
        self._files = sorted(files, key=SORTS["name"])
        self._texts = [_text(file) for file in self._files]
        self.folders = _folders(files)

    def search(
        self, words: str, family: str, folder: str, sort: str, descending: bool, offset: int, limit: int
    ) -> Page:
        """Return a page of what fits, as `Catalog.search` says."""
        found: Sequence[ModelFile] = self._files
        if wanted := words.lower().split():
            pairs = zip(self._files, self._texts, strict=True)
            found = [file for file, text in pairs if all(word in text for word in wanted)]
        if family:
            found = [file for file in found if file.family in (family, "")]
        if folder:
            found = [file for file in found if file.folder == folder or file.folder.startswith(f"{folder}/")]
        found = sorted(found, key=SORTS.get(sort, SORTS["name"]), reverse=descending)
        found.sort(key=lambda file: bool(file.problem))
        return Page(found[max(0, offset) :][: max(0, limit)], len(found))


def _text(file: ModelFile) -> str:
    return f"{file.folder}/{file.path.name} {file.name} {file.alias} {file.sha256}".lower()


def _folders(files: Sequence[ModelFile]) -> list[str]:
    direct = {file.folder for file in files if file.folder}
    above = {str(parent) for folder in direct for parent in PurePosixPath(folder).parents}
    return sorted((direct | above) - {"."}, key=str.lower)
