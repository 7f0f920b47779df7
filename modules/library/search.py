"""Searching pictures: what can be asked for, and how the database is asked for it.

Words are found by SQLite's full-text search (FTS5) where the database has it, and by LIKE elsewhere.
"""

import re
import unicodedata
from datetime import date, datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Select, false, literal_column, select, text

from modules.library.records import SEARCHED, PictureRecord, TagRecord

LONGEST = 200  # characters of the words of a search
STARS = 5
FULL_TEXT = "pictures_words"  # the table of SQLite's full-text search
_HITS = f"{FULL_TEXT} CROSS JOIN pictures INDEXED BY {SEARCHED} ON pictures.id = {FULL_TEXT}.rowid"
_MATCH = f"{FULL_TEXT} MATCH :pieces"
_PIECE = re.compile(r"[^\W_]+")  # what full-text search takes for a word

Name = Annotated[str, Field(max_length=255)]
Pixels = Annotated[int, Field(ge=0, le=10**6)]


class Search(BaseModel):
    """Which pictures are wanted; whatever is empty or 0 does not matter. Days are those of this computer's clock."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    words: Annotated[str, Field(max_length=LONGEST)] = ""  # all of them must be there, the last one may be a beginning
    model: Name = ""
    sampler: Name = ""
    width: Pixels = 0
    height: Pixels = 0
    since: date | None = None
    until: date | None = None  # this day is still in
    owner: Name = ""
    rating: Annotated[int, Field(ge=0, le=STARS)] = 0  # at least
    tag: Name = ""
    trash: bool = False  # those in the trash; otherwise those that are not


def plain_words(prompt: str, model: str, seed: int, name: str) -> str:
    """Return what plain words find a picture by: prompt, checkpoint, seed and file name."""
    return unicodedata.normalize("NFC", "\n".join((prompt, model, str(seed), name)))


def pieces(words: str) -> str:
    """Return `words` as a full-text query of SQLite; empty when nothing in them can be looked up.

    Words in a script whose endings or neighbours are written on to them (Korean, Chinese) are beginnings, too.
    """
    found = _PIECE.findall(unicodedata.normalize("NFC", words))
    return " ".join(
        f'"{piece}"' + ("" if piece.isascii() and place < len(found) - 1 else "*") for place, piece in enumerate(found)
    )


def wanted(search: Search, full_text: bool, before: int | None = None, after: int | None = None) -> Select[Any]:
    """Return the query for the ids of the pictures that fit, newest first.

    `full_text` says that the database finds words by itself. Only ids below `before` and above `after` count.
    """
    looked_up = pieces(search.words) if full_text else ""
    query: Select[Any] = select(_of("id"))
    if looked_up:
        # The hits come in the order of ids by themselves; each is looked up in the index, never in the long row.
        query = query.select_from(text(_HITS)).where(text(_MATCH).bindparams(pieces=looked_up))
    else:
        query = query.select_from(PictureRecord).where(*_containing(search.words))
    query = query.where(*_facts(search))
    number = _of("id") if not looked_up else literal_column(f"{FULL_TEXT}.rowid")
    if before is not None:
        query = query.where(number < before)
    if after is not None:
        query = query.where(number > after)
    return query.order_by(number.desc())


def _of(name: str) -> ColumnElement[Any]:
    """Return a column of the pictures by its name alone: where they are read from is said apart from it."""
    return literal_column(f"{PictureRecord.__tablename__}.{name}")


def _facts(search: Search) -> list[ColumnElement[bool]]:
    trashed = _of("trashed")
    found: list[ColumnElement[bool]] = [trashed.is_not(None) if search.trash else trashed.is_(None)]
    for name in ("model", "sampler", "width", "height", "owner"):
        if value := getattr(search, name):
            found.append(_of(name) == value)
    if search.rating:
        found.append(_of("rating") >= search.rating)
    if search.since:
        found.append(_of("created") >= _midnight(search.since))
    if search.until and search.until < date.max:
        found.append(_of("created") < _midnight(search.until + timedelta(days=1)))
    if search.tag:
        found.append(_of("id").in_(select(TagRecord.picture).where(TagRecord.tag == search.tag)))
    return found


def _containing(words: str) -> list[ColumnElement[bool]]:
    # A database may take NUL for the end of a text; nothing holds one.
    parts = unicodedata.normalize("NFC", words).split()
    if any("\0" in part for part in parts):
        return [false()]
    return [PictureRecord.words.icontains(part, autoescape=True) for part in parts]


def _midnight(day: date) -> float:
    """Return when that day began; days the clock does not know count as its first."""
    try:
        return datetime(day.year, day.month, day.day).timestamp()
    except (ValueError, OSError, OverflowError):
        return 0.0
