"""Noticing what changes in the folders of models, and working through their files in the background."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Collection

import watchfiles

LOOK_EVERY = 60.0  # seconds; some disks (those of other computers) do not tell of changes
GATHER = 1000  # milliseconds that changes are gathered for
STEP = 200  # milliseconds between two looks at whether there are any
UNFINISHED = (".part", ".crdownload", ".tmp", ".download", ".aria2")  # what programs call files they are still writing
LOWEST = 19  # priority


class Watcher:
    """Two threads: one waits for changes on the disk, the other works through what was found.

    `folders` says which folders to watch; `look` is called when something changed in them, and says whether anything
    is different. `work` does the next bit of work and returns whether there may be more; it is called with the lowest
    priority, again after every look that found something.
    """

    def __init__(
        self, folders: Callable[[], Collection[str]], look: Callable[[], bool], work: Callable[[], bool]
    ) -> None:
        self._folders = folders
        self._look = look
        self._work = work
        self._ending = threading.Event()
        self._news = threading.Event()
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True)
            for run, name in ((self._watch, "watching models"), (self._examine, "examining models"))
        ]

    def start(self) -> None:
        """Begin."""
        self._news.set()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End both threads; the present bit of work is finished first."""
        self._ending.set()
        self._news.set()
        for thread in self._threads:
            thread.join()

    @property
    def ending(self) -> bool:
        """Whether the present work is to be left."""
        return self._ending.is_set()

    def wake(self) -> None:
        """Tell that there may be work."""
        self._news.set()

    def _watch(self) -> None:
        while not self._ending.is_set():
            folders = {folder for folder in self._folders() if os.path.isdir(folder)}
            with contextlib.suppress(OSError, RuntimeError):  # a folder is gone again, or the system is out of watches
                self._watch_folders(folders)
                continue
            self._ending.wait(LOOK_EVERY)
            self._look_again()

    def _watch_folders(self, folders: Collection[str]) -> None:
        """Watch until there are other folders; each by itself: a recursive watch would follow any link anywhere."""
        changes = watchfiles.watch(
            *sorted(folders),
            recursive=False,
            watch_filter=_matters,
            step=STEP,
            debounce=GATHER,
            rust_timeout=GATHER,
            yield_on_timeout=True,
            stop_event=self._ending,
            raise_interrupt=False,
        )
        looked = -math.inf  # what changed before the watch began is noticed by a look of its own
        for change in changes:
            if change or time.monotonic() - looked > LOOK_EVERY:
                self._look_again()
                looked = time.monotonic()
                if {folder for folder in self._folders() if os.path.isdir(folder)} != folders:
                    return

    def _look_again(self) -> None:
        if self._look():
            self._news.set()

    def _examine(self) -> None:
        _lower_priority()
        while not self._ending.is_set():
            self._news.wait()
            self._news.clear()
            while not self._ending.is_set() and self._work():
                pass


def _matters(change: watchfiles.Change, path: str) -> bool:
    name = os.path.basename(path)
    return not name.lower().endswith(UNFINISHED) and (not name.startswith(".") or name.startswith(".."))


def _lower_priority() -> None:
    """Let everything else go first. On Linux a thread has a priority of its own."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST)
