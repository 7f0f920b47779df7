"""Pictures on record: once each, in order, and taken in when they were written but not recorded."""

import time
from pathlib import Path

import pytest
from PIL import Image

from modules.images import infotext
from modules.images.files import PictureFiles
from modules.library.database import Database
from modules.library.pictures import Library
from modules.result import Picture, Recipe
from tests.images.test_infotext import changed


@pytest.fixture
def files(tmp_path: Path) -> PictureFiles:
    return PictureFiles(tmp_path / "outputs")


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(Database(f"sqlite:///{tmp_path / 'easel.db'}"), tmp_path / "outputs")


def save(files: PictureFiles, **values: object) -> tuple[Path, Recipe]:
    recipe = changed(**{"width": 16, "height": 8, **values})
    return files.save(Picture(Image.new("RGB", (16, 8)), recipe)), recipe


def test_a_picture_comes_back_as_it_was_added(library: Library, files: PictureFiles) -> None:
    path, recipe = save(files, job="abc", index=2, seed=2**64 - 1)
    row = library.add(path, recipe, infotext.write(recipe), "anna")
    assert library.get(row.id) == row
    assert (row.path, row.recipe, row.job, row.index) == (path.resolve(), recipe, "abc", 2)
    assert (row.width, row.height, row.owner) == (16, 8, "anna")
    assert row.infotext == infotext.write(recipe)
    assert library.get(row.id + 1) is None


def test_adding_again_adds_nothing(library: Library, files: PictureFiles) -> None:
    path, recipe = save(files, job="abc")
    row = library.add(path, recipe, "", "anna")
    assert library.add(path, changed(job="other"), "", "ben") == row
    assert library.add(path.with_name("copy.png"), recipe, "", "ben") == row
    assert library.recent(10) == [row]


def test_pictures_outside_the_queue_are_all_kept(library: Library, files: PictureFiles) -> None:
    rows = [library.add(*save(files), "", "anna") for _ in range(3)]
    assert [each.job for each in rows] == ["", "", ""]
    assert [each.id for each in library.recent(10)] == [each.id for each in reversed(rows)]


def test_recent_turns_pages(library: Library, files: PictureFiles) -> None:
    ids = [library.add(*save(files, job="j", index=place), "", "a").id for place in range(5)]
    page = library.recent(2)
    assert [each.id for each in page] == [ids[4], ids[3]]
    assert [each.id for each in library.recent(2, before=page[-1].id)] == [ids[2], ids[1]]


def test_pictures_of_jobs_are_in_order(library: Library, files: PictureFiles) -> None:
    for place in (2, 0, 1):
        library.add(*save(files, job="j", index=place), "", "a")
    assert [each.index for each in library.of_job("j")] == [0, 1, 2]
    assert library.of_jobs(["j", "none"])["none"] == ()


def test_strays_are_taken_in_once(library: Library, files: PictureFiles) -> None:
    known, recipe = save(files, job="j", index=0)
    library.add(known, recipe, "", "a")
    stray, recipe = save(files, job="j", index=1)
    Image.new("RGB", (4, 4)).save(stray.with_name("foreign.png"))
    stray.with_name("broken.png").write_bytes(b"\x89PNG")
    assert library.take_in(files, owner="ben") == 1
    row = library.of_job("j")[1]
    assert (row.path, row.recipe, row.owner, row.infotext) == (stray.resolve(), recipe, "ben", infotext.write(recipe))
    assert abs(row.created.timestamp() - stray.stat().st_mtime) < 1
    assert library.take_in(files) == 0


def test_only_changed_folders_are_looked_into(library: Library, files: PictureFiles) -> None:
    save(files)
    assert library.take_in(files, since=time.time() + 100) == 0
    assert library.take_in(files, since=time.time() - 100) == 1


def test_a_copy_of_a_picture_of_a_job_is_no_second_one(library: Library, files: PictureFiles) -> None:
    path, recipe = save(files, job="j")
    library.add(path, recipe, "", "a")
    path.with_name("00077-copy.png").write_bytes(path.read_bytes())
    assert library.take_in(files) == 0
    assert len(library.recent(10)) == 1


def test_a_library_that_was_moved_still_finds_its_pictures(tmp_path: Path, files: PictureFiles) -> None:
    database = Database(f"sqlite:///{tmp_path / 'easel.db'}")
    path, recipe = save(files)
    id = Library(database, files.outputs).add(path, recipe, "", "a").id
    files.outputs.rename(tmp_path / "elsewhere")
    row = Library(database, tmp_path / "elsewhere").get(id)
    assert row is not None and row.path.is_file()
