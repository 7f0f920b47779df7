"""Models added from an address: asked for by a person, fetched in the background, checked, and put where they belong.

A download outlives the page and the server: what has come stays in `models/.downloads/`, and goes on when a person says
so. Nothing is fetched that nobody asked for, nothing that is there is overwritten, and what turns out not to be a model
never gets to where models lie.
"""

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from modules.errors import Cancelled, DownloadError, EaselError, ModelError, SaveError
from modules.library.database import Database
from modules.library.records import StateRecord
from modules.model_manager.kinds import KINDS
from modules.server.arrival import clean_name, examine, place
from modules.server.download import GOING, Asked, Download, Item, State, named, packed, unpacked, view
from modules.server.outward import Outward, checked, host_of
from modules.server.sources import Hubs, Source, without_token
from modules.server.transfer import SHA256, Progress, Transfer

STATE = "downloads"  # where the database keeps them
AT_ONCE = 2
MOST = 200  # downloads on the list; the oldest that are done go first
WORTHLESS = frozenset({"download_page", "download_not_model", "download_hash", "download_have"})  # nothing of it stays
LEAVE = 2.0  # seconds a transfer gets to end by itself


@dataclass(frozen=True)
class Library:
    """What downloads must know of the catalog."""

    home: Callable[[str], Path]  # the folder that new files of a kind are put into
    having: Callable[[str], str]  # the name of the model with a SHA-256, or nothing
    arrived: Callable[[Path, str, Source], str]  # a model of a kind is there now; returns its name


class Downloads:
    """Every download, on a list that outlives the server."""

    def __init__(self, database: Database, folder: Path, library: Library, outward: Outward, hubs: Hubs) -> None:
        """Take up the list as it was; nothing goes on by itself. `folder` is for what has come so far."""
        self._database = database
        self._folder = folder
        self._library = library
        self._outward = outward
        self._hubs = hubs
        self._lock = threading.RLock()
        self._keeping = threading.Lock()
        self._closed = False
        self._changed = 0
        self._busy: set[str] = set()  # whose thread has not ended yet: two must not write one file
        self._items: dict[str, Item] = {item.asked.id: item for item in self._kept()}

    @property
    def changed(self) -> int:
        """A number that grows whenever a download begins, ends or is removed."""
        return self._changed

    def all(self) -> list[Download]:
        """Return every download, the newest first."""
        with self._lock:
            return [view(item) for item in reversed(self._items.values())]

    def add(self, address: str, kind: str = "", name: str = "", sha256: str = "") -> str:
        """Ask for the model at `address`; return the download's id.

        `kind` is a key of `KINDS` or empty, to find out; `name` and `sha256` what it shall be called and must be.
        What was asked for before from the same address goes on instead. Raises `DownloadError` for what cannot be.
        """
        checked(address)
        digest = sha256.strip().lower()
        if kind and kind not in KINDS:
            raise DownloadError("download_unknown_kind", kind=kind[:60])
        if digest and not SHA256.fullmatch(digest):
            raise DownloadError("download_sha256")
        if name.strip() and not clean_name(name):
            raise DownloadError("download_name", name=name[:60])
        kept = without_token(address)
        with self._lock:
            found = next((item for item in self._items.values() if item.asked.address == kept), None)
            if found is not None and found.state in GOING:
                return found.asked.id
            if found is None and sum(item.state != "done" for item in self._items.values()) >= MOST:
                raise DownloadError("download_many", most=MOST)
            again = found is not None and found.state in ("stopped", "failed")
            id = found.asked.id if found is not None and again else secrets.token_hex(8)
            progress = found.progress if found is not None and again else Progress()
            asked = Asked(id, kept, kind, clean_name(name), digest)
            self._items.pop(id, None)
            self._items[id] = Item(asked, token=_token(address), kind=kind, progress=progress)
            self._trim()
        self._next()
        return id

    def resume(self, id: str) -> None:
        """Go on with a download that was stopped or failed; nothing happens with another."""
        with self._lock:
            item = self._items.get(id)
            if item is None or item.state not in ("stopped", "failed"):
                return
            self._items[id] = Item(item.asked, token=item.token, kind=item.asked.kind, progress=item.progress)
        self._next()

    def stop(self, id: str) -> None:
        """Stop a download; what has come stays."""
        with self._lock:
            item = self._items.get(id)
            if item is None or item.state not in GOING:
                return
            item.stop.set()
            item.state = "stopped"
        self._next()

    def remove(self, id: str) -> None:
        """Take a download off the list, with what has come of it; a finished model stays."""
        with self._lock:
            item = self._items.pop(id, None)
            if item is None:
                return
            item.gone = True
            item.stop.set()
        self._part(id).unlink(missing_ok=True)
        self._next()

    def close(self) -> None:
        """Stop every download; they can go on when the server runs again."""
        with self._lock:
            self._closed = True
            going = [item for item in self._items.values() if item.state in GOING]
            threads = [item.thread for item in self._items.values() if item.thread is not None]
            for item in going:
                item.stop.set()
                item.state = "stopped"
        end = time.monotonic() + LEAVE
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        self._keep()

    def _next(self) -> None:
        """Begin what waits, as far as there is room; write the list down."""
        with self._lock:
            for id, item in self._items.items():
                if len(self._busy) >= AT_ONCE or self._closed:
                    break
                if item.state == "waiting" and id not in self._busy:
                    item.state = "asking"
                    self._busy.add(id)
                    item.thread = threading.Thread(target=self._run, args=(item,), name="download", daemon=True)
                    item.thread.start()
        self._keep()

    def _run(self, item: Item) -> None:
        try:
            self._fetch(item)
            state: State = "done"
        except Cancelled:
            state = "stopped"
        except EaselError as error:
            state, item.problem, part = "failed", error.key, str(self._part(item.asked.id))
            item.values = {key: str(value).replace(part, item.progress.name) for key, value in error.values.items()}
            if isinstance(error, ModelError) or error.key in WORTHLESS:
                self._part(item.asked.id).unlink(missing_ok=True)
                item.progress.bytes = 0
        except OSError as error:  # the folder, the line to a hub
            state, item.problem = "failed", "download_lost"
            item.values = {"host": host_of(item.asked.address), "reason": str(error)}
        with self._lock:
            self._busy.discard(item.asked.id)
            if item.state in GOING:
                item.state = state
            if item.gone:
                self._part(item.asked.id).unlink(missing_ok=True)
        self._next()

    def _fetch(self, item: Item) -> None:
        asked = item.asked
        link = asked.address + (("&" if "?" in asked.address else "?") + f"token={item.token}" if item.token else "")
        source = self._hubs.find(link, self._outward)
        source = replace(source, name=named(asked.name, source.name), sha256=asked.sha256 or source.sha256)
        item.kind = asked.kind or source.kind
        self._set(item, "loading")
        part = self._part(asked.id)

        def look(progress: Progress) -> None:
            if progress.sha256 and (name := self._library.having(progress.sha256)):
                raise DownloadError("download_have", name=name)
            self._refuse_taken(item.kind, named(asked.name, progress.name))

        digest = Transfer(self._outward, source, part, item.progress, item.stop, look).run()
        self._set(item, "checking")
        name, kind = examine(part, named(asked.name, item.progress.name))
        kind = asked.kind or kind or source.kind
        if not kind:
            raise DownloadError("download_kind", name=name)
        if not KINDS[kind].accepts(name.lower()):
            raise DownloadError("download_suffix", name=name, endings=", ".join(KINDS[kind].suffixes))
        if held := self._library.having(digest):
            raise DownloadError("download_have", name=held)
        with self._lock:
            item.kind, item.progress.name = kind, name
            if item.stop.is_set():
                raise Cancelled("download_stopped")
            path = self._library.home(kind) / name
            place(part, path)
        item.model = self._library.arrived(path, kind, source)

    def _refuse_taken(self, kind: str, name: str) -> None:
        if kind and name and os.path.lexists(self._library.home(kind) / name):
            raise DownloadError("download_exists", name=name)

    def _set(self, item: Item, state: State) -> None:
        with self._lock:
            if item.stop.is_set():
                raise Cancelled("download_stopped")
            item.state = state
        self._keep()

    def _part(self, id: str) -> Path:
        return self._folder / f"{id}.part"

    def _trim(self) -> None:
        done = [id for id, item in self._items.items() if item.state == "done"]
        for id in done[: max(0, len(self._items) - MOST)]:
            del self._items[id]

    def _keep(self) -> None:
        """Write the list into the database."""
        with self._keeping:
            self._changed += 1
            with self._lock:
                body = packed(self._items.values())
            with contextlib.suppress(SaveError), self._database.write() as session:
                session.merge(StateRecord(name=STATE, body=body))

    def _kept(self) -> list[Item]:
        with self._database.read() as session:
            record = session.get(StateRecord, STATE)
        return unpacked(record.body) if record is not None else []


def _token(address: str) -> str:
    """Return the `token` in the query of a link."""
    pairs = checked(address).query.split("&")
    return next((each.removeprefix("token=") for each in pairs if each.startswith("token=")), "")
