"""A job of several pictures leaves a grid of them, where that is wanted."""

from pathlib import Path

from PIL import Image

from modules.events import Note
from modules.images import metadata
from modules.images.files import PictureFiles
from modules.images.names import ALONE
from modules.result import GRID, Picture, Recipe
from modules.saving import Saving
from modules.server.grids import lay, wanted
from tests.fakes import ask, fake_recipe
from tests.serving import running, until


def made(folder: Path, files: PictureFiles, colours: tuple[str, ...] = ("red", "lime", "blue")) -> dict[int, Path]:
    shots = ask("a", seed=5, batch_count=len(colours)).shots()
    return {
        shot.index: files.save(Picture(Image.new("RGB", (8, 8), colour), fake_recipe(ask("a"), shot, "job")))
        for shot, colour in zip(shots, colours, strict=True)
    }


def test_the_grid_says_what_its_first_picture_says(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path, Saving(grid_save=True, n_rows=1))
    laid = lay(ask("a", batch_count=3), None, made(tmp_path, files), files, ALONE)
    assert not isinstance(laid, Note)
    picture, path = laid
    assert path.parent.parent == tmp_path / "txt2img-grids" and path.name == "grid-0001.png"
    found = metadata.read(path)
    assert found is not None and found[1] is not None and found[2] == (24, 8)
    assert (found[1].index, found[1].seed, found[1].job) == (GRID, 5, "job")
    assert [picture.image.getpixel((x, 4)) for x in (4, 12, 20)] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


def test_there_is_none_where_none_is_wanted(tmp_path: Path) -> None:
    one, two = {0: tmp_path}, {0: tmp_path, 1: tmp_path}
    assert wanted(Saving(grid_save=True), two) and not wanted(Saving(), two)
    assert not wanted(Saving(grid_save=True), one)
    assert wanted(Saving(grid_save=True, grid_only_if_multiple=False), one)
    assert not wanted(Saving(grid_save=True), {**two, GRID: tmp_path})
    assert not wanted(Saving(grid_save=True), {**one, -2: tmp_path}), "what was interrupted is none of them"


def test_a_picture_that_is_gone_is_said(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path, Saving(grid_save=True))
    paths = made(tmp_path, files)
    paths[1].unlink()
    assert lay(ask("a"), None, paths, files, ALONE) == Note(key="grid_gone")
    assert not (tmp_path / "txt2img-grids").exists()


def test_a_job_shows_its_grid_first_and_counts_it_not(tmp_path: Path) -> None:
    with running(tmp_path, grid_save=True) as server:
        id = server.submit(ask("a red circle", batch_count=3, steps=1, seed=9))
        until(lambda: not server.jobs.queue())
        job = server.jobs.get(id)
        assert job is not None and [row.index for row in job.pictures] == [GRID, 0, 1, 2]
        grid = job.pictures[0]
        assert (grid.width, grid.height, grid.recipe.seed) == (128, 128, 9)
        single = server.submit(ask("a red circle", steps=1))
        until(lambda: not server.jobs.queue())
        job = server.jobs.get(single)
        assert job is not None and [row.index for row in job.pictures] == [0]


def test_a_grid_is_as_large_as_the_settings_allow_and_has_no_unfinished_picture(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path, Saving(grid_save=True, img_max_size_mp=1))
    paths = made(tmp_path, files)
    laid = lay(ask("a"), None, {**paths, -2: tmp_path / "gone.png"}, files, ALONE)
    assert not isinstance(laid, Note)
    huge = Picture(Image.new("RGB", (800, 800)), Recipe(width=800, height=800))
    large = {place: files.save(huge) for place in (0, 1)}
    note = lay(ask("a"), None, large, files, ALONE)
    assert isinstance(note, Note) and note.key == "grid_large" and note.values["most"] == "1"
