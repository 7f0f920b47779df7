"""What the fault tests look at: the queue as it is on the disk, and the files there are."""

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from modules.images import metadata
from modules.images.files import TEMPORARY
from modules.library.pictures import PictureRow
from modules.server.views import Job


def pictures_in(folder: Path) -> list[Path]:
    return sorted((folder / "outputs").rglob("*.png"))


def half_written(folder: Path) -> list[Path]:
    return [each for each in (folder / "outputs").rglob("*") if TEMPORARY.match(each.name)]


def once_each(folder: Path, jobs: Iterable[Job], rows: Iterable[PictureRow]) -> None:
    """Every picture of every job is on record and on the disk, whole, exactly once; and nothing else is there."""
    jobs, rows = list(jobs), list(rows)
    assert all(each.status == "done" for each in jobs), [(each.id, each.status, each.error) for each in jobs]
    wanted = sorted((job.id, index) for job in jobs for index in range(job.request.images))
    assert sorted((each.job, each.index) for each in rows) == wanted
    found = []
    for path in pictures_in(folder):
        with Image.open(path) as image:
            image.load()
        about = metadata.read(path)
        assert about is not None and about[1] is not None
        found.append((about[1].job, about[1].index))
    assert sorted(found) == wanted
    assert sorted(each.path for each in rows) == pictures_in(folder.resolve())
    seeds = [each.recipe.seed for each in rows]
    assert len(set(seeds)) == len(seeds)
    numbers = [each.path.name[:5] for each in rows]
    assert len(set(numbers)) == len(numbers)
    assert half_written(folder) == []
