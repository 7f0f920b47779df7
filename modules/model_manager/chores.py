"""What is done for model files in the background: looking into each, and working out its hashes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path

from modules.errors import ModelError
from modules.families.family import Family
from modules.library.models import StoredModel
from modules.model_manager.examine import weights_of
from modules.model_manager.hashing import network_hash_of, sha256_of
from modules.model_manager.kinds import KINDS
from modules.model_manager.shelf import Shelf

AT_ONCE = 100  # files
TOGETHER = 1.0  # seconds of work that are kept together: a commit takes its time, too


class Chores:
    """Works on shelves that others use, too: `lock` is held while it touches one, and never while it reads a file.

    `note` says that something is different, `going` whether to go on.
    """

    def __init__(
        self,
        lock: AbstractContextManager[object],
        shelf: Callable[[str], Shelf],
        note: Callable[[], None],
        going: Callable[[], bool],
        families: Mapping[str, Family],
        hashing: bool = True,
    ) -> None:
        self._lock = lock
        self._shelf = shelf
        self._note = note
        self._going = going
        self._families = families
        self._hashing = hashing
        self._unhashable: set[str] = set()

    def next(self) -> bool:
        """Do the next bit; return whether there may be more."""
        if any(self._examine_some(kind) for kind in KINDS):
            return True
        return self._hashing and any(self._hash_some(kind) for kind in KINDS)

    def digests(self, shelf: Shelf, path: str) -> StoredModel | None:
        """Return what is known of a file with its hashes worked out; None when it is gone or cannot be read."""
        with self._lock:
            known = shelf.known(path)
        if known is None or known.sha256:
            return known
        place = Path(path)
        try:
            sha256 = sha256_of(weights_of(place, self._families), self._going)
            if shelf.kind.name == "lora" and not known.network_hash:
                known = known._replace(network_hash=network_hash_of(place, self._going))
        except (OSError, ModelError):
            return None
        return known._replace(sha256=sha256) if sha256 else None

    def _examine_some(self, kind: str) -> bool:
        until = time.monotonic() + TOGETHER
        with self._lock:
            shelf = self._shelf(kind)
            paths = list(islice(shelf.waiting(), AT_ONCE))
        read = []
        for path in paths:
            if time.monotonic() > until or not self._going():
                break
            read.append(shelf.read(path))
        with self._lock:
            shelf.keep(read)
            if read:
                self._note()
        return bool(paths)

    def _hash_some(self, kind: str) -> bool:
        until = time.monotonic() + TOGETHER
        with self._lock:
            shelf = self._shelf(kind)
            paths = [path for path in shelf.unhashed() if path not in self._unhashable]
        done = []
        for path in paths:
            digests = self.digests(shelf, path)
            if not self._going():
                break
            if digests is None:
                self._unhashable.add(path)
            else:
                done.append(digests)
            if time.monotonic() > until:
                break
        with self._lock:
            shelf.keep(done)
            if len(done) == len(paths) > 0:  # who shows the files need not show them anew every second
                self._note()
        return bool(paths)
