"""What a search finds: words, facts, days, tags, on SQLite's full-text search and without it."""

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql

from modules.library.database import Database
from modules.library.gallery import Gallery
from modules.library.pictures import Library
from modules.library.search import Search, pieces, wanted
from tests.images.test_infotext import changed

PROMPTS = (
    "a red circle on a blue background",
    "two cats, oil painting",
    "a concatenated cat",
    "고양이가 창가에 앉아 있다",
    "100% café_noir ✨",
)
NOON = datetime(2026, 5, 4, 12).timestamp()
DAY = 86400.0


@pytest.fixture(scope="module", params=[True, False], ids=["full-text", "like"])
def gallery(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Gallery:
    """Pictures 1 to 5, a day apart, some with stars and tags; what finds words is either of the two ways."""
    tmp_path = tmp_path_factory.mktemp("search")
    database = Database(f"sqlite:///{tmp_path / 'easel.db'}")
    library = Library(database, tmp_path / "outputs")
    for place, prompt in enumerate(PROMPTS):
        recipe = changed(
            prompt=prompt,
            negative_prompt="ugly",
            model="dreams.safetensors" if place % 2 else "starter",
            sampler="Euler" if place < 2 else "DPM++ 2M",
            width=64 * (place + 1),
            height=64,
            seed=7000 + place,
        )
        path = tmp_path / "outputs" / "txt2img-images" / "2026-05-04" / f"{place + 1:05}-{recipe.seed}.png"
        library.add(path, recipe, "", "anna" if place < 3 else "ben", created=NOON + place * DAY)
    made = Gallery(database, library)
    assert made._full_text  # this SQLite has it: both ways are tried
    made._full_text = request.param
    made.rate([2, 3], 4)
    made.tag([1, 3], ["Keep"])
    return made


def found(gallery: Gallery, **values: object) -> list[int]:
    return [row.id for row in gallery.page(Search.model_validate(values))]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("", [5, 4, 3, 2, 1]),
        ("circle red", [1]),
        ("CIRCLE", [1]),
        ("red absent", []),
        ("ci", [1]),
        ("고양이", [4]),
        ("창가에 고양이", [4]),
        ("7003", [4]),
        ("starter", [5, 3, 1]),
        ("00002-7001", [2]),
        ("✨", [5]),
        ("café", [5]),
        ("ugly", []),
    ],
)
def test_words_are_found(gallery: Gallery, words: str, ids: list[int]) -> None:
    assert found(gallery, words=words) == ids


def test_whole_words_are_meant_but_the_last_which_may_be_a_beginning(gallery: Gallery) -> None:
    if gallery._full_text:
        assert found(gallery, words="cat") == [3, 2]
        assert found(gallery, words="cat oil") == []
        assert found(gallery, words="cats oi") == [2]
        assert found(gallery, words="cafe") == [5]
    else:
        assert found(gallery, words="cat") == [3, 2]
        assert found(gallery, words="100% café_") == [5]
        assert found(gallery, words="o%e") == []


@pytest.mark.parametrize(
    "words", ['"', "a'b OR 1=1 --", "NOT", "red AND", "(", "*", "words:red", "\0", "^", "a" * 200, "red* NEAR blue"]
)
def test_nothing_a_person_types_is_a_command(gallery: Gallery, words: str) -> None:
    assert found(gallery, words=words) in ([], [1])


def test_facts_narrow_it_down(gallery: Gallery) -> None:
    assert found(gallery, model="starter") == [5, 3, 1]
    assert found(gallery, sampler="Euler") == [2, 1]
    assert found(gallery, width=128, height=64) == [2]
    assert found(gallery, owner="ben") == [5, 4]
    assert found(gallery, words="cat", model="starter", sampler="DPM++ 2M") == [3]
    assert found(gallery, model="start") == []


def test_days_are_whole_days_of_this_clock(gallery: Gallery) -> None:
    first = date(2026, 5, 4)
    assert found(gallery, since=first + timedelta(days=3)) == [5, 4]
    assert found(gallery, until=first) == [1]
    assert found(gallery, since=first + timedelta(days=1), until=first + timedelta(days=2)) == [3, 2]
    assert found(gallery, since=date.min, until=date.max) == [5, 4, 3, 2, 1]


def test_stars_and_tags(gallery: Gallery) -> None:
    assert found(gallery, rating=4) == [3, 2]
    assert found(gallery, rating=5) == []
    assert found(gallery, tag="keep") == [3, 1]
    assert found(gallery, tag="keep", rating=1) == [3]


def test_pages_follow_one_another_without_a_gap(gallery: Gallery) -> None:
    for words in ("", "a", "safetensors"):
        search = Search(words=words)
        every = [row.id for row in gallery.page(search)]
        pages, before = [], None
        while page := gallery.page(search, before=before, limit=2):
            pages += [row.id for row in page]
            before = page[-1].id
        assert pages == every
        assert [row.id for row in gallery.page(search, after=2)] == [id for id in every if id > 2]


def test_words_of_any_script_become_a_query() -> None:
    assert pieces("red-haired 고양이 cat") == '"red" "haired" "고양이"* "cat"*'
    assert pieces(" ✨ ") == ""


def test_a_query_for_another_database_is_plain(tmp_path: Path) -> None:
    said = str(wanted(Search(words="red", tag="x"), False, 5).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
    assert "ILIKE" in said and "INDEXED" not in said and "MATCH" not in said
