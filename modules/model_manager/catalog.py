"""Which models are on disk: found by folder, known by header, told apart by name and hash. No weight is read."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from modules.controls.control import Sight
from modules.errors import UnknownModel
from modules.families.family import Family, Header
from modules.library.database import Database, join
from modules.library.models import ModelIndex
from modules.model_manager import sidecars
from modules.model_manager.chores import Chores
from modules.model_manager.identify import built_in_families
from modules.model_manager.image_encoders import find_image_encoder
from modules.model_manager.kinds import KINDS, bases, home, places, roots
from modules.model_manager.model_file import Details, ModelFile, Page
from modules.model_manager.scan import Stamp, stamp_of
from modules.model_manager.searching import Line, View
from modules.model_manager.shelf import Shelf
from modules.model_manager.watching import Watcher
from modules.settings import Settings

__all__ = ["Catalog", "Details", "ModelFile", "Page", "Stamp", "stamp_of"]

STARTER = "starter"
_NAMED = 20  # names that an answer to an unknown one gives


class Catalog:
    """Every model file in the folders of the settings. Any number of threads may ask one catalog.

    `families` decides what a checkpoint is; without it those that ship with Easel do. What was found out about a
    file is kept in `database`; without it, in the one of the settings where that is there already. Unless somebody
    watches (`watch`), each question looks at the disk first.
    """

    def __init__(
        self, settings: Settings, families: Mapping[str, Family] | None = None, database: Database | None = None
    ) -> None:
        self._settings = settings
        self._families = built_in_families() if families is None else families
        self._database = database
        self._index: ModelIndex | None = None
        self._joined = False
        self._lock = threading.RLock()
        self._shelves: dict[str, Shelf] = {}
        self._views: dict[str, tuple[int, View]] = {}
        self._changed = 0
        self._watcher: Watcher | None = None
        self._chores = Chores(self._lock, self._shelf, self._note, self._going, self._families, settings.hashing)

    @property
    def changed(self) -> int:
        """A number that grows when anything about the files is different."""
        return self._changed

    def checkpoints(self) -> list[ModelFile]:
        """Return every checkpoint by name, the starter last: any other was put there by a person."""
        return self.files("checkpoint")

    def files(self, kind: str) -> list[ModelFile]:
        """Return every file of `kind` by name, each examined; those that cannot be loaded say why."""
        with self._lock:
            shelf = self._shelf(kind, look=True)
            self._examine(shelf, list(shelf.waiting()))
            return sorted(shelf.files(), key=_order)

    def get(self, name: str, kind: str = "checkpoint") -> ModelFile | None:
        """Return the file that `find` would, also when it cannot be loaded; None when there is none."""
        with self._lock:
            shelf = self._shelf(kind)
            path = shelf.find(name)
            if path is None and (waiting := list(shelf.waiting())):
                self._examine(shelf, waiting)  # an alias lies in the file
                path = shelf.find(name)
            if path is None:
                return None
            if shelf.changed(path):
                self._look(shelf)
                path = shelf.find(name)
            return None if path is None else shelf.examined(path)

    def find(self, name: str, kind: str = "checkpoint") -> ModelFile:
        """Return the file of that name, stem, file name, title, alias or hash; for "" the first usable checkpoint.

        Raises `UnknownModel` with names there are, and what is wrong with the file when it cannot be loaded.
        """
        file = self.get(name, kind) if name else self._first(kind)
        if file is None:
            raise self._unknown(name, kind)
        fault = file.fault()
        if fault is not None:
            raise fault
        return file

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
        """Return one page of the files of `kind`, those that cannot be loaded last.

        Each of `words` must be in the path, the alias or the hash. `family` leaves out what is of another one, not
        what is of none known; `folder` takes in what lies below. `sort`: name, path, created, modified, size or
        family.
        """
        return self._view(kind).search(words, family, folder, sort, descending, offset, limit)

    def folders(self, kind: str) -> list[str]:
        """Return the folders that hold files of `kind`, and those above them."""
        return self._view(kind).folders

    def details(self, file: ModelFile) -> Details:
        """Return what the file says of itself and what lies beside it; an empty answer where nothing can be read."""
        return sidecars.details(file, self._allowed())

    def save_details(self, file: ModelFile, changes: Mapping[str, Any]) -> None:
        """Write down fields of `Details` beside the file, where A1111 reads them too.

        Raises `SaveError` when that cannot be written, `BadRequest` for a field or value that cannot be written down.
        """
        sidecars.save_details(file, changes, self._allowed())
        self.refresh()

    def set_preview(self, file: ModelFile, image: Path) -> None:
        """Put a copy of the picture at `image` beside the file, as its preview.

        Raises `SaveError` when that cannot be written, `BadRequest` when `image` is no picture.
        """
        sidecars.set_preview(file, image)
        self.refresh()

    def hashed(self, file: ModelFile) -> ModelFile:
        """Return `file` with its hashes. It is read once, about a second for each gigabyte, and not again."""
        path = str(file.path)
        with self._lock:
            shelf = self._shelf(file.kind)
            if file.problem or not shelf.has(path):
                return file
            shelf.examined(path)
        digests = self._chores.digests(shelf, path)
        with self._lock:
            if digests is not None:
                shelf.keep([digests])
                self._note()
            return shelf.file(path) if shelf.has(path) else file

    def refresh(self) -> bool:
        """Look at the disk now; return whether anything is different."""
        with self._lock:
            return any([self._look(shelf) for shelf in list(self._shelves.values())])

    def duplicates(self) -> list[list[ModelFile]]:
        """Return the files that have the same content, as far as they were hashed, in groups."""
        groups: dict[tuple[str, int], list[ModelFile]] = {}
        with self._lock:
            for kind in KINDS:
                for file in self._shelf(kind).files():
                    if file.sha256 and not file.path.is_dir():
                        groups.setdefault((file.sha256, file.size), []).append(file)
        return sorted((each for each in groups.values() if len(each) > 1), key=lambda group: group[0].name)

    def image_encoder(self, sight: Sight, asks: str) -> Header:
        """Return the header of an image encoder of that sight, for the control named `asks`; raise `UnknownModel`."""
        return find_image_encoder(bases(self._settings), sight, asks)

    def home(self, kind: str) -> Path:
        """Return the folder that new files of `kind` are put into."""
        return home(self._settings, kind)

    def watch(self) -> None:
        """Notice what changes on the disk by itself from now on, and examine and hash every file in the background."""
        if self._watcher is None:
            self._watcher = Watcher(self._watched, self.refresh, self._chores.next)
            self._watcher.start()

    def stop(self) -> None:
        """Stop watching; a hash that is half done is left."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None

    def _going(self) -> bool:
        return self._watcher is None or not self._watcher.ending

    def _watched(self) -> set[str]:
        with self._lock:
            shelves = [self._shelf(kind) for kind in KINDS]
            return {folder for shelf in shelves for folder in shelf.folders} | set(map(str, bases(self._settings)))

    def _first(self, kind: str) -> ModelFile | None:
        if kind != "checkpoint":
            return None
        with self._lock:
            shelf = self._shelf(kind, look=True)
            files = sorted(shelf.files(), key=_order)
            examined = (shelf.examined(str(file.path)) for file in files)
            return next((file for file in examined if not file.problem), files[0] if files else None)

    def _unknown(self, name: str, kind: str) -> UnknownModel:
        names = [file.name for file in self.search(kind, limit=_NAMED + 1).files if not file.problem]
        allowed = ", ".join([*names[:_NAMED], *(["…"] if len(names) > _NAMED else [])])
        if kind != "checkpoint":
            return UnknownModel("unknown_file", value=name[:60], kind=KINDS[kind].folders[0], allowed=allowed or "-")
        if not names:
            return UnknownModel("no_models", folder=str(home(self._settings, kind)))
        return UnknownModel("unknown_model", value=name[:60], allowed=allowed)

    def _view(self, kind: str) -> View:
        with self._lock:
            shelf = self._shelf(kind)
            if self._watcher is None:  # otherwise that is done in the background, and a page need not wait
                self._examine(shelf, list(shelf.waiting()))
            version, view = self._views.get(kind, (-1, None))
            if view is None or version != shelf.version:
                view = View(shelf.lines(), partial(self._full, shelf))
                self._views[kind] = (shelf.version, view)
            return view

    def _full(self, shelf: Shelf, line: Line) -> ModelFile | None:
        with self._lock:
            return shelf.file(line.place) if shelf.has(line.place) else None

    def _shelf(self, kind: str, look: bool = False) -> Shelf:
        """Return the shelf of `kind` as the disk is now; with `look`, also what changed in place is noticed."""
        shelf = self._shelves.get(kind)
        if shelf is None:
            shelf = self._shelves[kind] = Shelf(KINDS[kind], self._families, self._stored())
            self._look(shelf)
        elif self._watcher is None and (look or shelf.stale()):
            self._look(shelf)
        return shelf

    def _look(self, shelf: Shelf) -> bool:
        different = shelf.look(places(self._settings, shelf.kind.name), self._allowed())
        self._changed += different
        return different

    def _examine(self, shelf: Shelf, paths: list[str]) -> None:
        if paths:
            shelf.examine(paths)
            self._note()

    def _note(self) -> None:
        self._changed += 1

    def _allowed(self) -> list[str]:
        """Return the real paths that links may lead into."""
        folders = [*bases(self._settings), *(path for kind in KINDS for path in roots(self._settings, kind))]
        return list(dict.fromkeys(os.path.realpath(folder) for folder in folders))

    def _stored(self) -> ModelIndex | None:
        if self._index is None and not self._joined:
            self._joined = True
            database = self._database or join(self._settings.database_url)
            self._index = None if database is None else ModelIndex(database)
        return self._index


def _order(file: ModelFile) -> tuple[bool, str]:
    return file.name == STARTER, file.name.lower()
