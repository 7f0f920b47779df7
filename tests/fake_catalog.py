"""A catalog that needs no files: what is in it, the test says."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from modules.errors import UnknownModel
from modules.model_manager.model_file import Details, ModelFile, Page
from modules.model_manager.searching import View


class FakeCatalog:
    """Files and what is written beside them, by kind and name; the checkpoint used unless another is asked for."""

    def __init__(
        self,
        files: Sequence[ModelFile],
        usual: str = "",
        details: Mapping[str, Details] | None = None,
    ) -> None:
        self.every = list(files)
        self.usual = usual
        self.written = dict(details or {})
        self.changed = 0

    def checkpoints(self) -> list[ModelFile]:
        return self.files("checkpoint")

    def files(self, kind: str) -> list[ModelFile]:
        return [file for file in self.every if file.kind == kind]

    def get(self, name: str, kind: str = "checkpoint") -> ModelFile | None:
        wanted = name or self.usual
        return next((file for file in self.files(kind) if wanted in _names(file)), None)

    def find(self, name: str, kind: str = "checkpoint") -> ModelFile:
        found = self.get(name, kind)
        if found is not None:
            return found
        raise UnknownModel("unknown_model", value=name, allowed=", ".join(file.name for file in self.files(kind)))

    def search(
        self,
        kind: str,
        words: str = "",
        family: str = "",
        folder: str = "",
        sort: str = "name",
        descending: bool = False,
        offset: int = 0,
        limit: int = 60,
    ) -> Page:
        return View(self.files(kind)).search(words, family, folder, sort, descending, offset, limit)

    def folders(self, kind: str) -> list[str]:
        return View(self.files(kind)).folders

    def details(self, file: ModelFile) -> Details:
        return self.written.get(file.name, Details())

    def save_details(self, file: ModelFile, changes: Mapping[str, Any]) -> None:
        self.written[file.name] = replace(self.details(file), **changes)
        self.changed += 1

    def set_preview(self, file: ModelFile, image: Path) -> None:
        self.written[file.name] = replace(self.details(file), preview=image)
        self.changed += 1

    def duplicates(self) -> list[list[ModelFile]]:
        return []

    def refresh(self) -> bool:
        return False

    def hashed(self, file: ModelFile) -> ModelFile:
        return file

    def home(self, kind: str) -> Path:
        return Path("models") / kind


def _names(file: ModelFile) -> set[str | None]:
    return {file.name, file.title, file.hash or None, file.network_hash or None}
