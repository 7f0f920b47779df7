"""What the engine tells whoever asked for a picture, and what it asks them."""

from collections.abc import Callable
from typing import Any, Literal, Protocol

from modules.errors import Cancelled
from modules.events import Event, Note

Wanted = Literal["go", "skip", "stop", "last"]


class Report(Protocol):
    """The other end of a job at work."""

    def tell(self, event: Event) -> None:
        """Hear an event."""
        ...

    def wanted(self) -> Wanted:
        """Say how to go on; asked before every network call.

        "stop" ends the job with `Cancelled`, "skip" drops the rest of this batch and begins the next, "last" ends the
        job when this batch is finished.
        """
        ...


class Skipped(Cancelled):
    """A person skipped this batch; only the engine sees it."""


class Unrepeated:
    """A report that hears the same note once: a job has many batches, and what is amiss with one is with all.

    It is `ending` once a person wanted no further batch.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._told: list[Note] = []
        self.ending = False

    def tell(self, event: Event) -> None:
        """Pass an event on, unless it is a note that was told before."""
        if isinstance(event, Note):
            if event in self._told:
                return
            self._told.append(event)
        self._report.tell(event)

    def wanted(self) -> Wanted:
        """Ask the report itself."""
        wanted = self._report.wanted()
        self.ending = self.ending or wanted == "last"
        return wanted


def heeding(call: Callable[..., Any], report: Report) -> Callable[..., Any]:
    """Wrap `call`: before it runs, ask `report` whether it should. Raises `Cancelled` or `Skipped`."""

    def asked(*arguments: Any) -> Any:
        wanted = report.wanted()
        if wanted == "stop":
            raise Cancelled("cancelled")
        if wanted == "skip":
            raise Skipped("skipped")
        return call(*arguments)

    return asked
