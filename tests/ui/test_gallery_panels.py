"""The panels of the gallery: what they say, and that what people wrote is only ever text."""

import json
import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from modules.images.infotext import write
from modules.library.gallery import Choices, Hits
from modules.library.pictures import PictureRow
from modules.library.search import Search
from modules.result import Recipe
from modules.ui import gallery_compare, gallery_details, gallery_panel
from modules.ui.tabs.gallery import dialogs
from modules.words import load_words
from tests.images.test_infotext import changed

WORDS = load_words()
NASTY = "<script>alert(1)</script> ${7*7} \"'</textarea>"
NONE = Choices([], [], [], [], [], 0)


def row(id: int = 1, name: str = "00001-7.png", rating: int = 0, trashed: bool = False, **values: object) -> PictureRow:
    recipe: Recipe = changed(**values)
    moment = datetime(2026, 5, 4, 12, tzinfo=UTC)
    return PictureRow(
        id,
        "",
        0,
        Path("/out") / name,
        recipe,
        write(recipe),
        moment,
        64,
        96,
        "anna",
        rating,
        moment if trashed else None,
    )


def text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def test_a_cell_shows_the_picture_what_it_is_and_its_stars() -> None:
    said = gallery_panel.cell(row(7, rating=3, prompt="a red circle"), False, WORDS)
    assert 'data-id="7"' in said and "/easel/thumbnails/7.webp" in said and 'loading="lazy"' in said
    assert 'aria-label="a red circle"' in said and "★★★" in said and "3 of 5 stars" in said
    assert "Select 00001-7.png" in said
    assert "★" not in gallery_panel.cell(row(), False, WORDS)


def test_a_file_that_is_gone_is_said_and_not_asked_for() -> None:
    said = gallery_panel.cell(row(), True, WORDS)
    assert "The file is gone" in text(said) and "<img" not in said
    said = gallery_details.details(row(), False, [], [], WORDS)
    assert "The file is gone" in text(said) and 'data-do="drop"' in said
    assert "<img" not in said and "href=" not in said and 'data-do="trash"' not in said


def test_a_page_says_what_comes_after_it_and_how_many_there_are() -> None:
    rows = [row(9), row(8)]
    said = gallery_panel.cells(rows, (), Hits(1000, more=True), True, WORDS)
    assert 'data-next="8"' in said and 'data-newest="9"' in said and 'data-hits="Pictures: 1,000+"' in said
    assert 'data-next=""' in gallery_panel.cells(rows, (), None, False, WORDS)
    assert "data-hits" not in gallery_panel.cells(rows, (), None, False, WORDS)


@pytest.mark.parametrize(
    ("search", "said"),
    [
        (Search(), "no pictures yet"),
        (Search(words="x"), "No picture matches"),
        (Search(trash=True), "trash is empty"),
        (Search(trash=True, words="x"), "No picture matches"),
    ],
)
def test_nothing_is_said_in_words(search: Search, said: str) -> None:
    assert said in text(gallery_panel.nothing(search, WORDS))


def test_the_controls_offer_what_there_is_and_keep_what_is_chosen() -> None:
    choices = Choices(
        [("models/dreams.safetensors", 12)], [("Euler", 12)], [((512, 768), 5)], [("anna", 12)], [("keep", 3)], 1234
    )
    search = Search(words="cat", model="gone.ckpt", width=512, height=768, rating=3, since=date(2026, 5, 4))
    said = gallery_panel.filters(search, choices, WORDS)
    assert "dreams (12)" in text(said) and 'value="models/dreams.safetensors"' in said
    assert '<option value="gone.ckpt" selected>' in said
    assert '<option value="512x768" selected>512 × 768 (5)' in said
    assert '<option value="3" selected>★★★ and more' in said and 'value="2026-05-04"' in said
    assert 'value="cat"' in said and "1,234" in text(said)
    assert 'name="owner"' not in said  # one person has nobody to choose from
    both = Choices([], [], [], [("anna", 1), ("ben", 1)], [], 0)
    assert 'name="owner"' in gallery_panel.filters(Search(), both, WORDS)
    assert all(f'name="{name}"' in said for name in ("words", "sampler", "size", "tag", "until"))


def test_the_details_offer_what_can_be_done() -> None:
    said = gallery_details.details(row(5, rating=2), True, ["sky"], ["sky", "keep"], WORDS)
    assert said.count('aria-pressed="true"') == 2 and 'data-untag="sky"' in said
    assert '<option value="keep">' in said and "data-zoom" in said and 'href="/easel/pictures/5?' in said
    assert 'data-copy="#gallery_text"' in said and 'id="gallery_text"' in said and "Steps:" in text(said)
    binned = gallery_details.details(row(5, trashed=True), True, [], [], WORDS)
    assert 'data-do="restore"' in binned and 'data-do="delete"' in binned
    assert "data-rate" not in binned and 'data-do="trash"' not in binned and "/easel/trash/pictures/5" in binned


def test_where_two_pictures_differ_is_marked() -> None:
    one = write(changed(prompt="a cat", negative_prompt="", steps=20, width=64, height=96))
    other = write(changed(prompt="a cat", negative_prompt="ugly", steps=30, width=64, height=64))
    entries = {key: (first, second) for key, first, second in gallery_compare.differing(one, other)}
    assert entries["Prompt"] == ("a cat", "a cat") and entries["Negative prompt"] == ("", "ugly")
    assert entries["Steps"] == ("20", "30") and entries["Size"] == ("64x96", "64x64")
    assert "Size-1" not in entries
    same = row(1, prompt="a cat")
    said = gallery_compare.compared((same, row(2, name="b.png", prompt="a dog")), (True, False), WORDS)
    assert said.count('class="differs"') == 1 and "≠" in said
    assert said.count("<img") == 1 and "The file is gone" in text(said)


def test_the_frame_carries_the_words_the_page_says() -> None:
    said = gallery_panel.board(WORDS)
    told = json.loads(re.search('data-words="([^"]*)"', said)[1].replace("&quot;", '"').replace("&#x27;", "'"))  # type: ignore[index]
    assert "{count}" in told["selected"] and "1000" in told["too_many"]
    assert "gallery-details" in dialogs(WORDS) and "gallery-compare" in dialogs(WORDS)


def test_what_people_wrote_is_text() -> None:
    nasty = row(1, name="<b>.png", prompt=NASTY, negative_prompt=NASTY, model=NASTY)
    choices = Choices([(NASTY, 1)], [(NASTY, 1)], [], [(NASTY, 1), ("b", 1)], [(NASTY, 1)], 0)
    for said in (
        gallery_panel.cell(nasty, False, WORDS),
        gallery_panel.filters(Search(words=NASTY, model=NASTY), choices, WORDS),
        gallery_details.details(nasty, True, [NASTY], [NASTY], WORDS),
        gallery_compare.compared((nasty, nasty), (True, True), WORDS),
    ):
        assert "<script" not in said and "</textarea" not in said and "<b>" not in said
        assert "&lt;script&gt;" in said
