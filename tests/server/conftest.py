"""A queue without workers: the parts of a server, on a database of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from modules.images.files import PictureFiles
from modules.library.database import Database
from modules.library.pictures import Library
from modules.server.claims import Claims
from modules.server.feed import Feed
from modules.server.jobs import Jobs


@dataclass
class Queue:
    database: Database
    feed: Feed
    library: Library
    files: PictureFiles
    jobs: Jobs
    claims: Claims


def make_queue(folder: Path, lease_seconds: float = 30.0, max_deaths: int = 2) -> Queue:
    database = Database(f"sqlite:///{folder / 'easel.db'}")
    feed = Feed(database)
    library = Library(database, folder / "outputs")
    files = PictureFiles(folder / "outputs")
    jobs = Jobs(database, feed, library)
    claims = Claims(database, feed, library, files, jobs.tracker, lease_seconds, max_deaths)
    return Queue(database, feed, library, files, jobs, claims)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    made = make_queue(tmp_path)
    yield made
    made.database.close()
