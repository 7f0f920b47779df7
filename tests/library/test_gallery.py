"""Pages, counts and choices of very many pictures, stars and tags."""

from pathlib import Path

import pytest
from sqlalchemy import insert, text

from modules.errors import BadRequest
from modules.library.database import Database
from modules.library.gallery import AT_ONCE, COUNTED, Gallery, Hits, read_tag
from modules.library.pictures import Library
from modules.library.records import PictureRecord
from modules.library.search import Search
from tests.images.test_infotext import changed


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'easel.db'}")


@pytest.fixture
def gallery(tmp_path: Path, database: Database) -> Gallery:
    return Gallery(database, Library(database, tmp_path / "outputs"))


def fill(database: Database, count: int) -> None:
    """Put rows on record, without files."""
    recipe = changed().model_dump_json()
    rows = [
        {
            "place": 0,
            "path": f"{number}.png",
            "recipe": recipe,
            "infotext": "",
            "created": 1.0 + number,
            "width": 64 if number % 3 else 128,
            "height": 64,
            "owner": "local",
            "words": f"word {'even' if number % 2 == 0 else 'odd'}",
            "model": "a" if number % 4 else "b",
            "sampler": "Euler",
        }
        for number in range(count)
    ]
    with database.write() as session:
        session.execute(insert(PictureRecord), rows)


def test_what_is_searched_is_counted_up_to_a_thousand_and_everything_to_the_end(
    gallery: Gallery, database: Database
) -> None:
    fill(database, COUNTED + 50)
    rows, hits = gallery.first_page(Search(), 5)
    assert [row.id for row in rows] == [1050, 1049, 1048, 1047, 1046] and hits == Hits(1050)
    assert gallery.first_page(Search(words="word"))[1] == Hits(COUNTED, more=True)
    assert gallery.first_page(Search(words="odd"))[1] == Hits(525)
    assert gallery.first_page(Search(model="b", words="even"))[1] == Hits(263)


def test_what_there_is_can_be_chosen_the_most_frequent_first(gallery: Gallery, database: Database) -> None:
    fill(database, 8)
    gallery.tag([1, 2], ["keep"])
    gallery.tag([2], ["print"])
    with database.write() as session:
        session.execute(text("UPDATE pictures SET trashed = 1 WHERE id = 8"))
    choices = gallery.choices()
    assert choices.models == [("a", 5), ("b", 2)]
    assert choices.sizes == [((64, 64), 4), ((128, 64), 3)]
    assert choices.samplers == [("Euler", 7)] and choices.owners == [("local", 7)]
    assert choices.tags == [("keep", 2), ("print", 1)] and choices.trashed == 1


def test_stars_are_given_and_taken(gallery: Gallery, database: Database) -> None:
    fill(database, 3)
    assert gallery.rate([1, 3, 99], 5) == 2
    assert [row.rating for row in gallery.page(Search())] == [5, 0, 5]
    gallery.rate([1], 0)
    assert [row.id for row in gallery.page(Search(rating=1))] == [3]
    for wrong in (-1, 6):
        with pytest.raises(BadRequest, match="from 0 to 5"):
            gallery.rate([1], wrong)


def test_tags_are_given_and_taken_once_each(gallery: Gallery, database: Database) -> None:
    fill(database, 3)
    gallery.tag([1, 2, 99], [" For  Anna ", "sky"])
    gallery.tag([2, 3], ["SKY"])
    assert gallery.tags([1, 2, 3]) == {1: ("for anna", "sky"), 2: ("for anna", "sky"), 3: ("sky",)}
    gallery.tag([2], ["new"], ["sky", "never there"])
    assert gallery.tags([2]) == {2: ("for anna", "new")}


def test_tags_go_with_their_picture(gallery: Gallery, database: Database) -> None:
    fill(database, 2)
    gallery.tag([1], ["sky"])
    with database.write() as session:
        session.execute(text("DELETE FROM pictures WHERE id = 1"))
    assert gallery.known_tags() == []
    assert [row.id for row in gallery.page(Search(words="even"))] == []  # nor are its words found


@pytest.mark.parametrize("wrong", ["", "  \t", "x" * 65, "\0\n"])
def test_what_is_no_tag_is_refused(wrong: str) -> None:
    with pytest.raises(BadRequest, match="1 to 64 characters"):
        read_tag(wrong)


def test_too_many_at_once_are_refused(gallery: Gallery) -> None:
    with pytest.raises(BadRequest, match="At most 1000"):
        gallery.rate(range(1, AT_ONCE + 2), 1)


def test_words_that_change_are_found_anew(gallery: Gallery, database: Database) -> None:
    fill(database, 1)
    with database.write() as session:
        session.get_one(PictureRecord, 1).words = "other"
    assert gallery.page(Search(words="even")) == []
    assert len(gallery.page(Search(words="other"))) == 1
