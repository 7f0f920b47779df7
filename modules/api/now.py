"""What is made at this moment, in few words: for a page that nobody looks at, and says when it is done."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter

from modules.library.pictures import LOCAL
from modules.server.server import Server

LIVE, ENDED = 50, 20  # jobs in one answer
LETTERS = 120  # of a prompt


def router(server: Server) -> APIRouter:
    """Return the route `/easel/now`."""
    routes = APIRouter(prefix="/easel")

    @routes.get("/now")
    def now() -> dict[str, Any]:
        """Tell how far the jobs in the queue are, and what became of those that ended last."""
        live = server.jobs.queue()[:LIVE]
        moment = datetime.now(UTC)
        last = server.jobs.recent(ENDED + len(live), LOCAL)
        return {
            "live": [
                {
                    "id": job.id,
                    "status": job.status,
                    "fraction": job.progress.fraction,
                    "seconds_left": job.progress.seconds_left,
                }
                for job in live
            ],
            "ended": [
                {
                    "id": job.id,
                    "status": job.status,
                    "seconds": (moment - job.finished).total_seconds() if job.finished else 0.0,
                    "pictures": len(job.pictures),
                    "words": " ".join(job.request.prompt.split())[:LETTERS],
                }
                for job in last
                if job.status not in ("queued", "running")
            ],
        }

    return routes
