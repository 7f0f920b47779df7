"""What goes over the pipe between the server and a worker, and what an engine must be able to do."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from modules.engine.report import Report
from modules.events import Event
from modules.model_manager.resident import Resident
from modules.offers import Offers
from modules.request import Request
from modules.result import Picture, Recipe
from modules.server.views import Problem
from modules.settings import Settings
from modules.tasks import Detect, Extras, FileTask, Interrogate, Task

T = TypeVar("T")


class Engine(Protocol):
    """What makes pictures; lives in the worker process."""

    @property
    def device(self) -> object:
        """The device; as text, what it is called: cpu, cuda:0."""
        ...

    def offers(self) -> Offers:
        """Return what this engine can do, by name."""
        ...

    def generate(
        self,
        request: Request,
        report: Report,
        save: Callable[[Picture], T],
        job: str = "",
        done: Collection[int] = (),
    ) -> Iterator[tuple[Picture, T]]:
        """Make the pictures of `request` but those whose index is in `done`, each saved before it is yielded."""
        ...

    def resident(self) -> tuple[Resident, ...]:
        """Return the models in memory, the one used last at the end; asked often, so it costs nothing."""
        ...

    def load(self, name: str) -> None:
        """Load the checkpoint of that name, so that the first picture need not wait; raise `ModelError` if it fails."""
        ...

    def unload(self, name: str) -> None:
        """Let go of the checkpoint of that name; nothing happens when it is not loaded. Empty: of everything."""
        ...

    def adopt(self, values: Mapping[str, Any]) -> None:
        """Let settings that may change between two jobs hold from now on; `values` by their names."""
        ...

    def foresee(self, name: str) -> None:
        """Begin to read the checkpoint of that name, beside the work: the next job wants it. Never raises."""
        ...

    def detect(self, task: Detect, report: Report) -> str:
        """Draw the hint of `task` and return its name among the pictures that people bring."""
        ...

    def interrogate(self, task: Interrogate, report: Report) -> str:
        """Say in words what the picture of `task` shows."""
        ...

    def make_file(self, task: FileTask, report: Report) -> Path:
        """Make the checkpoint file of `task` and return where it is."""
        ...

    def process(
        self,
        task: Extras,
        report: Report,
        save: Callable[[Picture, str], T],
        job: str = "",
        done: Collection[int] = (),
    ) -> Iterator[tuple[Picture, T]]:
        """Do what `task` asks for to its pictures, each saved, by a name for its file, before it is yielded."""
        ...


EngineFactory = Callable[[Settings], Engine]
"""Makes the engine inside the worker process; travels by name, so it is a function of a module or a partial of one."""


# to the worker


@dataclass(frozen=True)
class Take:
    """Do this job. Pictures in `done` exist already; `made` says where."""

    job: str
    task: Task
    done: frozenset[int] = frozenset()
    made: Mapping[int, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Wish:
    """A person wants the job to stop, now or after its present batch, or this batch to be skipped."""

    job: str
    wish: Literal["skip", "stop", "last"]


@dataclass(frozen=True)
class Load:
    """Load this checkpoint when no job is at work."""

    name: str


@dataclass(frozen=True)
class Unload:
    """Let go of this checkpoint, or of everything if it has no name, when no job is at work."""

    name: str


@dataclass(frozen=True)
class Next:
    """The job after this one wants this checkpoint: read it meanwhile."""

    name: str


@dataclass(frozen=True)
class Adopt:
    """These settings, by name, hold from the next job on."""

    values: Mapping[str, Any]


@dataclass(frozen=True)
class Leave:
    """End when no job is at work; another process takes over."""


# from the worker


@dataclass(frozen=True)
class Hello:
    """The worker is ready for jobs."""

    offers: Offers
    device: str
    detail: str = ""


@dataclass(frozen=True)
class Holding:
    """What is in memory now, the model used last at the end; told whenever it changes."""

    models: tuple[Resident, ...]


@dataclass(frozen=True)
class Answered:
    """A model was loaded or unloaded as a person asked, or was not, for this reason."""

    problem: Problem | None = None


@dataclass(frozen=True)
class Told:
    """An event of the job at work."""

    job: str
    event: Event


@dataclass(frozen=True)
class Saved:
    """A picture of the job is a complete file now."""

    job: str
    path: Path
    recipe: Recipe
    infotext: str
    size: tuple[int, int]


@dataclass(frozen=True)
class Ended:
    """The job is over: complete, stopped by a person, or failed for the reason given by `key`."""

    job: str
    outcome: Literal["done", "stopped", "failed"]
    key: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    detail: str = ""


@dataclass(frozen=True)
class Unable:
    """The engine cannot be made; the worker ends after this."""

    key: str
    values: dict[str, Any]
    detail: str


Order = Load | Unload | Adopt | Leave
ToWorker = Take | Wish | Order | Next
FromWorker = Hello | Holding | Answered | Told | Saved | Ended | Unable


@dataclass(frozen=True)
class WorkerState:
    """A worker as a page shows it."""

    name: str
    device: str
    stage: Literal["starting", "loading", "ready", "busy", "lost"]
    model: str = ""  # what it has in memory
    detail: str = ""  # why it was lost, the last time
    pid: int = 0
    resident: tuple[Resident, ...] = ()  # all it has in memory, the model used last at the end
    problem: Problem | None = None  # why a model that a person wanted loaded or unloaded was not, the last time
