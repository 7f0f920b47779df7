"""What the engine tells whoever asked for a picture, and what it asks them."""

from collections.abc import Callable
from typing import Any, Literal, Protocol

from modules.errors import Cancelled
from modules.events import Event

Wanted = Literal["go", "skip", "stop"]


class Report(Protocol):
    """The other end of a job at work."""

    def tell(self, event: Event) -> None:
        """Hear an event."""
        ...

    def wanted(self) -> Wanted:
        """Say how to go on; asked before every network call.

        "stop" ends the job with `Cancelled`, "skip" drops the rest of this batch and begins the next.
        """
        ...


class Skipped(Cancelled):
    """A person skipped this batch; only the engine sees it."""


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
