"""What the routes of the gallery answer a page: the panels, in the language the browser asks for."""

from collections.abc import Collection, Sequence

from modules.library.gallery import Choices, Hits
from modules.library.pictures import PictureRow
from modules.library.search import Search
from modules.ui import gallery_compare, gallery_details, gallery_panel
from modules.ui.page_words import PageWords
from modules.words import Words, preferred


class Faces:
    """The gallery as HTML, in every language; looks on the disk which files are there."""

    def __init__(self, words: PageWords) -> None:
        self._words = words

    def filters(self, search: Search, choices: Choices, language: str) -> str:
        """Return the controls."""
        return gallery_panel.filters(search, choices, self._heard(language))

    def cells(self, search: Search, rows: Sequence[PictureRow], hits: Hits | None, more: bool, language: str) -> str:
        """Return one page of pictures; where nothing fits at all, a word about that."""
        words = self._heard(language)
        if hits is not None and not hits.count:
            return gallery_panel.cells([], (), hits, more, words) + gallery_panel.nothing(search, words)
        return gallery_panel.cells(rows, _gone(rows), hits, more, words)

    def details(self, row: PictureRow, tags: Sequence[str], known: Sequence[str], language: str) -> str:
        """Return everything about a picture."""
        return gallery_details.details(row, row.path.is_file(), tags, known, self._heard(language))

    def compared(self, rows: tuple[PictureRow, PictureRow], language: str) -> str:
        """Return two pictures beside each other."""
        there = rows[0].path.is_file(), rows[1].path.is_file()
        return gallery_compare.compared(rows, there, self._heard(language))

    def _heard(self, language: str) -> Words:
        return self._words.languages[preferred(language)]


def _gone(rows: Sequence[PictureRow]) -> Collection[int]:
    return {row.id for row in rows if not row.path.is_file()}
