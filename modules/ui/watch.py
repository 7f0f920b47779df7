"""Following a job: a page asks twice a second what is new, and is sent only the parts that changed.

The server keeps nothing about a page. What a page has chosen and what it has been shown travel with its question, so a
phone that slept, a second device and a server that was restarted are all the same case: a page that has seen little.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from hashlib import blake2b
from typing import Any, TypeVar

import gradio as gr
from gradio.components import Component

from modules.result import placed
from modules.server.server import Server
from modules.server.views import Job
from modules.ui import queue_panel, repeating, result_panel, styles_panel, top
from modules.ui.markup import joined
from modules.ui.page_words import PageWords
from modules.words import Words

OWNER = "local"
BUSY, IDLE = 0.5, 1.5  # seconds between two questions while something runs, and while nothing does
OLDER = 40  # thumbnails of earlier pictures
ENDED = 5  # jobs shown under "recently"
T = TypeVar("T")


@dataclass(frozen=True)
class Choice:
    """What the person at this page wants to see; nothing in particular by default."""

    job: str = ""  # the job generated here last, or chosen in the queue
    held: bool = False  # chosen by hand: stay with it whatever else runs
    picture: int = 0  # the picture chosen by hand; 0: follow the newest


@dataclass(frozen=True)
class Seen:
    """What this page has been shown."""

    mark: str = ""  # the state of the server then, in short
    job: str = ""  # the job it watches: Interrupt and Skip mean this one
    picture: int = 0  # the picture shown large
    parts: Mapping[str, str] = field(default_factory=dict)  # the fingerprint of each part


def told(kind: type[T], text: str | None) -> T:
    """Read a `Choice` or `Seen` from what a page sent; whatever does not fit is left at its default."""
    try:
        given = json.loads(text or "{}")
    except ValueError:
        given = {}
    fresh = kind()
    if not isinstance(given, dict):
        return fresh
    kept = {each.name: given.get(each.name) for each in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in kept.items() if isinstance(value, type(getattr(fresh, name)))})


def packed(told_of: Choice | Seen) -> str:
    """Return a `Choice` or `Seen` as the text a page carries."""
    return json.dumps(asdict(told_of))


@dataclass
class Watch:
    """The watched components of a tab, and the handler that renews them.

    `panels` maps the name of each part (progress, stage, strip, parameters, queue, health) to its component; `lists`
    maps a request field to its dropdown, whose choices are renewed when the server learns of more.
    """

    server: Server
    words: PageWords
    choice: Component
    seen: Component
    changed: Component
    timer: gr.Timer
    panels: Mapping[str, Component]
    lists: Mapping[str, Component]

    @property
    def outputs(self) -> list[Component]:
        """Return every component that `look` may renew."""
        return [self.choice, self.seen, self.changed, self.timer, *self.panels.values(), *self.lists.values()]

    def tick(self, choice: str, seen: str, request: gr.Request) -> Any:
        """Answer a page's question: the parts that changed since it last asked, or nothing."""
        return self.look(told(Choice, choice), told(Seen, seen), self.words.heard(request)) or gr.skip()

    def look(self, choice: Choice, seen: Seen, words: Words) -> dict[Component, Any]:
        """Return an update for each part that differs from what the page has `seen`; empty when nothing changed."""
        live = self.server.jobs.queue()
        mark = self._mark(choice, live, words)
        if mark == seen.mark:
            return {}
        view = self._view(choice, live, words)
        updates: dict[Component, Any] = {}
        parts: dict[str, str] = {}
        content: object
        watched = {**view.html, **self._choices(words), "pace": bool(live), "changed": str(self.server.catalog.changed)}
        for name, content in watched.items():
            parts[name] = _short(repr(content))
            if parts[name] == seen.parts.get(name):
                continue
            if name in self.panels:
                updates[self.panels[name]] = content
            elif name in self.lists:
                updates[self.lists[name]] = gr.update(choices=content)
            elif name == "changed":
                updates[self.changed] = content
            else:
                updates[self.timer] = gr.update(value=BUSY if live else IDLE)
        updates[self.seen] = packed(Seen(mark, view.job, view.picture, parts))
        return updates

    def _mark(self, choice: Choice, live: Sequence[Job], words: Words) -> str:
        server = self.server
        state = (
            server.feed.last_seq,
            choice,
            words.language,
            server.jobs.paused,
            [(job.id, job.status) for job in live],
            [(each.name, each.stage, each.model) for each in server.workers],
            server.offers.samplers,
            server.offers.schedules,
            server.catalog.changed,
            server.trash.changed,
            server.styles.stamp,
            server.forever.of(OWNER),
        )
        return _short(repr(state))

    def _choices(self, words: Words) -> dict[str, list[Any]]:
        offers = self.server.offers
        every: dict[str, list[Any]] = {
            "model": top.checkpoints(self.server.catalog),
            "vae": top.vaes(self.server.catalog, words),
            "sampler": list(offers.samplers),
            "schedule": list(offers.schedules),
            "styles": styles_panel.choices(self.server),
        }
        return {name: every[name] for name in self.lists}

    def _view(self, choice: Choice, live: Sequence[Job], words: Words) -> "_View":
        server = self.server
        ended = [job for job in server.jobs.recent(ENDED + len(live), OWNER) if job.status not in ("running", "queued")]
        job = self._watched(choice, live, ended)
        own = sorted(job.pictures, key=lambda row: placed(row.index)) if job else []
        known = {row.id for row in own}
        older = [row for row in server.library.recent(OLDER) if row.id not in known and row.path.is_file()]
        running = job is not None and job.status == "running"
        picked = server.library.get(choice.picture) if choice.picture else None
        preview = server.feed.preview(job.id) if job and running and picked is None else None
        picture = picked or (own[-1] if own else older[0] if older else None)
        following = running and picked is None
        if preview is not None:
            picture = None  # the one in the making is shown; it has no parameters yet
        shown = picture.id if picture is not None else 0
        return _View(
            job.id if job else "",
            shown,
            {
                "progress": joined(repeating.line(server.forever.of(OWNER), words), result_panel.progress(job, words)),
                "stage": result_panel.stage(preview[1] if preview else None, picture, words),
                "strip": result_panel.strip(job, own, older, shown, following, words),
                "parameters": result_panel.parameters(picture, words, own if picture in own else ()),
                "queue": queue_panel.queue(live, ended[:ENDED], server.jobs.paused, job.id if job else "", words),
                "health": queue_panel.health(server.workers, words),
            },
        )

    def _watched(self, choice: Choice, live: Sequence[Job], ended: Sequence[Job]) -> Job | None:
        """The job chosen by hand; else the one generated here while it runs; else what runs, waits or ended last."""
        chosen = self.server.jobs.get(choice.job) if choice.job else None
        if chosen is not None and (choice.held or chosen.status == "running"):
            return chosen
        running = [job for job in live if job.status == "running"]
        return next(iter([*running, *live, *ended]), None)


@dataclass(frozen=True)
class _View:
    job: str
    picture: int
    html: dict[str, str]


def _short(text: str) -> str:
    return blake2b(text.encode("utf-8", "replace"), digest_size=9).hexdigest()
