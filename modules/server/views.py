"""How a job looks to a page, the API or the command line: frozen, complete, safe to hand around."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from modules.library.pictures import PictureRow
from modules.request import Request, make_request
from modules.tasks import Task

Status = Literal["queued", "running", "done", "stopped", "failed", "set_aside"]
Stage = Literal["queued", "starting", "loading", "sampling", "saving", "done", "stopped", "failed", "set_aside"]


@dataclass(frozen=True)
class Progress:
    """How far a job is: pictures finished of `images`, step of the present ones, 0 to 1 over all of it."""

    image: int = 0
    images: int = 0
    step: int = 0
    steps: int = 0
    fraction: float = 0.0
    stage: Stage = "queued"
    seconds_left: float | None = None  # until the job is complete, waiting included; None: not known yet


@dataclass(frozen=True)
class Problem:
    """Why a job failed: a key of `locale/*/errors.json`, its values, and the details for a bug report."""

    key: str
    values: dict[str, Any] = field(default_factory=dict)
    detail: str = ""


@dataclass(frozen=True)
class Job:
    """One job as it stands now. `position` is 0 while it runs, 1 when it is the next, None when it is over."""

    id: str
    owner: str
    origin: str  # which device asked for it
    task: Task
    status: Status
    position: int | None
    attempts: int  # deaths of its worker since it last made a picture
    created: datetime
    started: datetime | None
    finished: datetime | None
    progress: Progress
    error: Problem | None = None
    pictures: tuple[PictureRow, ...] = ()
    notes: tuple[tuple[str, dict[str, Any]], ...] = ()

    @property
    def request(self) -> Request:
        """The pictures asked for; the defaults for a job that makes a file instead."""
        return self.task if isinstance(self.task, Request) else make_request({})
