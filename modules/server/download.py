"""One download: what was asked for, how far it is, how it looks from outside, and how it is kept."""

import json
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from modules.server.arrival import SUFFIXES, clean_name
from modules.server.outward import shown
from modules.server.transfer import Progress

WINDOW = 6.0  # seconds over which speed is measured

State = Literal["waiting", "asking", "loading", "checking", "done", "stopped", "failed"]
GOING = frozenset({"waiting", "asking", "loading", "checking"})


@dataclass(frozen=True)
class Download:
    """One download as it stands now."""

    id: str
    address: str  # as people may see it, without what may be a key
    name: str
    kind: str  # a key of `KINDS`; empty until it is known
    state: State
    bytes: int = 0
    total: int = 0  # 0: not known
    speed: float = 0.0  # bytes per second
    problem: str = ""  # a key of errors.json
    values: dict[str, Any] = field(default_factory=dict)
    model: str = ""  # what the catalog calls it, when it is there

    @property
    def seconds_left(self) -> float | None:
        """How long it still takes, where that can be said."""
        if self.state != "loading" or not self.speed or not self.total:
            return None
        return (self.total - self.bytes) / self.speed


@dataclass(frozen=True)
class Asked:
    """What a person asked for; empty is what is to be found out."""

    id: str
    address: str
    kind: str = ""
    name: str = ""
    sha256: str = ""


@dataclass
class Item:
    """A download with all that belongs to it; changed under the lock of the list alone."""

    asked: Asked
    state: State = "waiting"
    token: str = ""  # from the link itself; never kept
    kind: str = ""
    progress: Progress = field(default_factory=Progress)
    problem: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    gone: bool = False  # removed by a person: whatever still comes of it goes, too
    stop: threading.Event = field(default_factory=threading.Event)
    marks: deque[tuple[float, int]] = field(default_factory=deque)
    thread: threading.Thread | None = None


def packed(items: Iterable[Item]) -> str:
    """Return what the database keeps of the downloads."""
    return json.dumps([_told(item) for item in items], ensure_ascii=False)


def unpacked(body: str) -> list[Item]:
    """Return the downloads of `packed`; what was under way then is stopped."""
    return [_item(told) for told in json.loads(body)]


def _item(told: dict[str, Any]) -> Item:
    return Item(
        Asked(**told["asked"]),
        "stopped" if told["state"] in GOING else told["state"],
        kind=told["kind"],
        progress=Progress(told["bytes"], told["total"], told["validator"], told["called"], told["digest"]),
        problem=told["problem"],
        values=told["values"],
        model=told["model"],
    )


def _told(item: Item) -> dict[str, Any]:
    progress = item.progress
    return {
        "asked": vars(item.asked),
        "state": item.state,
        "kind": item.kind,
        "bytes": progress.bytes,
        "total": progress.total,
        "validator": progress.validator,
        "called": progress.name,
        "digest": progress.sha256,
        "problem": item.problem,
        "values": item.values,
        "model": item.model,
    }


def view(item: Item) -> Download:
    """Return the download as it stands now, and note how far it is: its speed is measured from one look to another."""
    now, done = time.monotonic(), item.progress.bytes
    if item.state == "loading":
        item.marks.append((now, done))
        while len(item.marks) > 2 and item.marks[0][0] < now - WINDOW:
            item.marks.popleft()
    first = item.marks[0] if item.marks else (now, done)
    speed = (done - first[1]) / (now - first[0]) if item.state == "loading" and now - first[0] > 0.2 else 0.0
    address = shown(item.asked.address)
    name = named(item.asked.name, item.progress.name) or address.rstrip("/").rpartition("/")[2]
    return Download(
        item.asked.id,
        address,
        name,
        item.kind,
        item.state,
        done,
        item.progress.total,
        max(0.0, speed),
        item.problem,
        item.values,
        item.model,
    )


def named(chosen: str, told: str) -> str:
    """Return the name a person chose, with the ending of the told one; else the told one."""
    told = clean_name(told)
    if not chosen:
        return told
    ending = next((each for each in SUFFIXES if told.lower().endswith(each)), "")
    return chosen if chosen.lower().endswith(SUFFIXES) else chosen + ending
