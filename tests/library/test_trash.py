"""The trash: hidden everywhere, nothing lost, everything where it was when it comes back."""

import os
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import text

from modules.errors import SaveError
from modules.images.files import PictureFiles
from modules.library.database import Database
from modules.library.gallery import Gallery
from modules.library.pictures import Library, PictureRow
from modules.library.search import Search
from modules.library.trash import Trash
from modules.result import Picture
from tests.images.test_infotext import changed


class House:
    """A library with files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.outputs = folder / "outputs"
        self.files = PictureFiles(self.outputs)
        self.database = Database(f"sqlite:///{folder / 'easel.db'}")
        self.library = Library(self.database, self.outputs)
        self.gallery = Gallery(self.database, self.library)
        self.trash = Trash(self.database, self.library, self.outputs)

    def put(self, **values: object) -> PictureRow:
        recipe = changed(**{"width": 16, "height": 8, "job": "", **values})
        path = self.files.save(Picture(Image.new("RGB", (16, 8)), recipe))
        return self.library.add(path, recipe, "", "anna")

    def shown(self, trash: bool = False) -> list[int]:
        return [row.id for row in self.gallery.page(Search(trash=trash))]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_into_the_trash_and_back_to_exactly_its_place(house: House) -> None:
    one, two = house.put(seed=1, job="j"), house.put(seed=2, job="j", index=1)
    content = one.path.read_bytes()
    assert house.trash.put([one.id]).ids == [one.id]
    kept = house.library.anywhere(one.id)
    assert kept is not None and kept.trashed is not None
    assert kept.path == house.outputs.resolve() / ".trash" / one.path.relative_to(house.outputs.resolve())
    assert kept.path.read_bytes() == content and not one.path.exists()
    assert house.library.get(one.id) is None
    assert [row.id for row in house.library.recent(10)] == [two.id]
    assert [row.id for row in house.library.of_jobs(["j"])["j"]] == [two.id]
    assert house.shown() == [two.id] and house.shown(trash=True) == [one.id]
    assert house.trash.restore([one.id]).ids == [one.id]
    assert house.library.get(one.id) == one and one.path.read_bytes() == content
    assert house.shown() == [two.id, one.id] and house.shown(trash=True) == []


def test_a_caption_goes_where_its_picture_goes(house: House) -> None:
    row = house.put()
    row.path.with_suffix(".txt").write_text("a red circle")
    house.trash.put([row.id])
    (kept,) = list((house.outputs / ".trash").rglob("*.txt"))
    assert kept.read_text() == "a red circle" and not row.path.with_suffix(".txt").exists()
    house.trash.restore([row.id])
    assert row.path.with_suffix(".txt").read_text() == "a red circle" and not kept.exists()
    house.trash.put([row.id])
    house.trash.delete([row.id])
    assert not list(house.outputs.rglob("*.txt"))


def test_what_lies_beside_a_picture_goes_with_it(house: House) -> None:
    row = house.put()
    names = {f"{row.path.stem}{each}" for each in (".jpg", ".txt", "-mask.png", "-before-highres-fix.webp")}
    for name in names:
        row.path.with_name(name).touch()
    house.trash.put([row.id])
    there = {each.name for each in (house.outputs / ".trash").rglob("*") if each.is_file()}
    assert names <= there and not any(row.path.with_name(name).exists() for name in names)
    house.trash.delete([row.id])
    assert not any(each.name in names for each in house.outputs.rglob("*"))


def test_what_a_job_made_stays_made_when_it_is_in_the_trash(house: House) -> None:
    row = house.put(job="j")
    house.trash.put([row.id])
    assert [each.id for each in house.library.of_job("j")] == [row.id]


def test_what_is_in_the_trash_is_not_taken_in_again(house: House) -> None:
    row = house.put()
    house.trash.put([row.id])
    assert house.library.take_in(house.files) == 0
    assert house.trash.mend() == 0
    assert house.shown() == []


def test_a_name_that_was_taken_meanwhile_is_stepped_beside(house: House) -> None:
    first = house.put(seed=7)
    house.trash.put([first.id])
    second = house.put(seed=7)
    assert second.path == first.path  # its number was free again
    house.trash.restore([first.id])
    back = house.library.get(first.id)
    assert back is not None and back.path == first.path.with_name(f"{first.path.stem} (2).png")
    house.trash.put([first.id, second.id])
    third = house.put(seed=7)
    house.trash.put([third.id])
    kept = [row.path for row in house.gallery.page(Search(trash=True))]
    assert len(set(kept)) == 3 and all(path.is_file() for path in kept)


def test_a_name_that_is_only_on_record_is_taken_too(house: House) -> None:
    first = house.put(seed=7)
    house.trash.put([first.id])
    second = house.put(seed=7)
    second.path.unlink()
    assert house.trash.restore([first.id]).ids == [first.id]
    back = house.library.get(first.id)
    assert back is not None and back.path.name.endswith("(2).png")


def test_a_file_that_is_gone_is_said_and_can_be_dropped(house: House) -> None:
    gone, there = house.put(seed=1), house.put(seed=2)
    gone.path.unlink()
    moved = house.trash.put([gone.id, there.id, 99])
    assert (moved.ids, moved.gone) == ([there.id], [gone.id])
    house.trash.restore([there.id])
    assert [row.id for row in house.trash.drop([gone.id, there.id])] == [gone.id]
    assert house.shown() == [there.id] and there.path.is_file()


def test_only_what_is_in_the_trash_is_deleted_for_good(house: House) -> None:
    one, two, three = (house.put(seed=seed) for seed in range(3))
    house.trash.put([one.id, two.id])
    assert [row.id for row in house.trash.delete([one.id, three.id])] == [one.id]
    assert house.library.anywhere(one.id) is None and three.path.is_file()
    kept = house.library.anywhere(two.id)
    assert kept is not None and kept.path.is_file()


def test_the_trash_is_emptied_up_to_when_it_was_looked_at(house: House) -> None:
    rows = [house.put(seed=seed) for seed in range(3)]
    house.trash.put([rows[0].id, rows[1].id])
    with house.database.write() as session:
        session.execute(text("UPDATE pictures SET trashed = 10 WHERE id = 1"))
    assert sum(len(part) for part in house.trash.empty(until=20)) == 1
    assert house.shown(trash=True) == [2] and house.shown() == [3]
    assert len(list((house.outputs / ".trash").rglob("*.png"))) == 1


def test_all_of_it_or_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [house.put(seed=seed) for seed in range(3)]
    real, calls = os.rename, []

    def rename(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == 3:
            raise PermissionError(13, "Permission denied")
        real(source, target)

    monkeypatch.setattr("modules.images.files.os.rename", rename)
    with pytest.raises(SaveError, match="Permission denied"):
        house.trash.put([row.id for row in rows])
    assert all(row.path.is_file() for row in rows)
    assert house.shown() == [3, 2, 1] and house.shown(trash=True) == []


def test_a_power_cut_between_file_and_record_is_mended(house: House) -> None:
    one, two = house.put(seed=1), house.put(seed=2)
    away = house.outputs / ".trash" / one.path.relative_to(house.outputs.resolve())
    away.parent.mkdir(parents=True)
    one.path.rename(away)  # on its way in when the power went
    house.trash.put([two.id])
    kept = house.library.anywhere(two.id)
    assert kept is not None
    kept.path.rename(two.path)  # on its way out
    assert house.trash.mend() == 2
    assert house.shown() == [two.id, one.id] and one.path.is_file() and two.path.is_file()


def test_a_stranger_in_the_trash_folder_is_left_alone(house: House) -> None:
    stranger = house.outputs / ".trash" / "mine.png"
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(b"x")
    assert house.trash.mend() == 0 and stranger.exists()
