"""Reads files ahead of their use, so that they are in the system's cache by then. No memory of ours is taken."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from pathlib import Path

PIECE = 4 * 2**20  # bytes read at a time


class Reader:
    """Reads one set of files at a time, in the thread that asks; `room` tells how many bytes the cache may take."""

    def __init__(self, room: Callable[[], int]) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def read(self, paths: Collection[Path]) -> int:
        """Read the files, and those in the folders, of `paths`; return how many bytes were read.

        Ends early when something else is to be read or nothing is any more, and does nothing where there is no room or
        a file cannot be read: whoever uses them then reads them, and says so.
        """
        with self._lock:
            self._stop.set()
            stop = self._stop = threading.Event()
        done = 0
        try:
            files = [file for path in paths for file in _files(path)]
            if sum(file.stat().st_size for file in files) > self._room():
                return 0
            piece = bytearray(PIECE)
            for file in files:
                with file.open("rb", buffering=0) as opened:
                    while not stop.is_set() and (count := opened.readinto(piece)):
                        done += count
        except OSError:
            return done
        return done

    def stop(self) -> None:
        """Have whoever reads end."""
        with self._lock:
            self._stop.set()


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(each for each in path.rglob("*.safetensors") if each.is_file())
