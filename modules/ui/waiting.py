"""Waiting, on a page, for what a worker says soon: a hint, a caption."""

import time

from modules.server.server import Server
from modules.server.views import Job

PATIENCE = 120.0  # seconds that a page waits
PAUSE = 0.1


def awaited(server: Server, job: str) -> Job | None:
    """Return the job when it is over, or after two minutes as it is then; None when there is none.

    It takes its time: only a handler that runs in a thread of its own may call it.
    """
    until = time.monotonic() + PATIENCE
    while True:
        found = server.jobs.get(job)
        if found is None or found.status not in ("queued", "running") or time.monotonic() >= until:
            return found
        time.sleep(PAUSE)
