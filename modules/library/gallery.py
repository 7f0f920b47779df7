"""Finding pictures among very many, a page at a time, and what a person notes about them: stars and tags."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, inspect, select, update
from sqlalchemy.orm import Session

from modules.errors import BadRequest
from modules.library.database import Database
from modules.library.pictures import Library, PictureRow
from modules.library.records import PictureRecord, TagRecord
from modules.library.search import FULL_TEXT, STARS, Search, wanted

PAGE = 60  # pictures of one page
COUNTED = 1000  # hits of a search are counted up to this
AT_ONCE = 1000  # pictures that one act is about, at most
LONGEST_TAG = 64  # characters
CHOICES = 500  # tags that are offered
_IN_ONE = 500  # ids of one statement


@dataclass(frozen=True)
class Hits:
    """How many pictures fit; `more` when there are further ones that were not counted."""

    count: int
    more: bool = False


@dataclass(frozen=True)
class Choices:
    """What can be asked for, the most frequent first, each with how many pictures there are of it."""

    models: Sequence[tuple[str, int]]
    samplers: Sequence[tuple[str, int]]
    sizes: Sequence[tuple[tuple[int, int], int]]
    owners: Sequence[tuple[str, int]]
    tags: Sequence[tuple[str, int]]
    trashed: int


class Gallery:
    """Searching the pictures of a library, and their stars and tags."""

    def __init__(self, database: Database, library: Library) -> None:
        self._database = database
        self._library = library
        with database.read() as session:
            self._full_text = inspect(session.connection()).has_table(FULL_TEXT)

    def page(
        self, search: Search, before: int | None = None, after: int | None = None, limit: int = PAGE
    ) -> list[PictureRow]:
        """Return the newest pictures that fit, newest first; of those with an id below `before` or above `after`."""
        query = wanted(search, self._full_text, before, after).limit(limit)
        with self._database.read() as session:
            return self._rows(session, session.scalars(query).all())

    def first_page(self, search: Search, limit: int = PAGE) -> tuple[list[PictureRow], Hits]:
        """Return the newest pictures that fit, newest first, and how many fit: up to a thousand are counted.

        Where nothing is asked for, all are.
        """
        query = wanted(search, self._full_text)
        with self._database.read() as session:
            ids = session.scalars(query.limit(max(COUNTED, limit) + 1)).all()
            hits = Hits(min(len(ids), COUNTED), len(ids) > COUNTED)
            if hits.more and search == Search():
                hits = Hits(session.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0)
            return self._rows(session, ids[:limit]), hits

    def _rows(self, session: Session, ids: Sequence[int]) -> list[PictureRow]:
        found = select(PictureRecord).where(PictureRecord.id.in_(ids)).order_by(PictureRecord.id.desc())
        return [self._library.row(each) for each in session.scalars(found)]

    def choices(self) -> Choices:
        """Return what the pictures outside the trash can be searched by."""
        record = PictureRecord
        facts = (record.model, record.sampler, record.width, record.height, record.owner)
        query = select(*facts, func.count(), func.count(record.trashed)).group_by(*facts)
        models, samplers, owners = Counter[str](), Counter[str](), Counter[str]()
        sizes = Counter[tuple[int, int]]()
        trashed = 0
        with self._database.read() as session:
            for model, sampler, width, height, owner, count, gone in session.execute(query):
                trashed += gone
                if kept := count - gone:
                    models[model] += kept
                    samplers[sampler] += kept
                    sizes[width, height] += kept
                    owners[owner] += kept
        return Choices(
            models.most_common(),
            samplers.most_common(),
            sizes.most_common(),
            owners.most_common(),
            self.known_tags(),
            trashed,
        )

    def known_tags(self) -> list[tuple[str, int]]:
        """Return the tags there are, the most frequent first, each with how many pictures have it."""
        tag, often = TagRecord.tag, func.count()
        query = select(tag, often).group_by(tag).order_by(often.desc(), tag).limit(CHOICES)
        with self._database.read() as session:
            return [(name, count) for name, count in session.execute(query)]

    def tags(self, ids: Collection[int]) -> dict[int, tuple[str, ...]]:
        """Return the tags of each of the pictures with these ids, in the order of the alphabet."""
        found: defaultdict[int, list[str]] = defaultdict(list)
        with self._database.read() as session:
            for part in parted(ids):
                query = select(TagRecord).where(TagRecord.picture.in_(part)).order_by(TagRecord.tag)
                for record in session.scalars(query):
                    found[record.picture].append(record.tag)
        return {id: tuple(found[id]) for id in ids}

    def rate(self, ids: Collection[int], rating: int) -> int:
        """Give these pictures so many stars (0 to 5); return how many of them there are."""
        if not 0 <= rating <= STARS:
            raise BadRequest("rating", value=rating, most=STARS)
        changed = 0
        with self._database.write() as session:
            for part in parted(ids):
                statement = update(PictureRecord).where(PictureRecord.id.in_(part)).values(rating=rating)
                changed += len(session.scalars(statement.returning(PictureRecord.id)).all())
        return changed

    def tag(self, ids: Collection[int], add: Collection[str] = (), remove: Collection[str] = ()) -> None:
        """Give these pictures the tags `add` and take the tags `remove` from them.

        Raises `BadRequest` for a tag that is empty or too long.
        """
        added, removed = {read_tag(each) for each in add}, {read_tag(each) for each in remove}
        with self._database.write() as session:
            for part in parted(ids):
                if removed:
                    gone = TagRecord.picture.in_(part), TagRecord.tag.in_(removed)
                    session.execute(delete(TagRecord).where(*gone))
                for tag in added:
                    _add(session, part, tag)


def _add(session: Session, ids: Sequence[int], tag: str) -> None:
    there = session.scalars(select(PictureRecord.id).where(PictureRecord.id.in_(ids))).all()
    have = session.scalars(select(TagRecord.picture).where(TagRecord.picture.in_(ids), TagRecord.tag == tag)).all()
    session.add_all(TagRecord(picture=id, tag=tag) for id in sorted({*there} - {*have}))


def read_tag(text: str) -> str:
    """Return a tag as it is kept: lower case, single blanks. Raises `BadRequest` when it is empty or too long."""
    tag = " ".join("".join(each if each.isprintable() else " " for each in text).split()).lower()
    if not 0 < len(tag) <= LONGEST_TAG:
        raise BadRequest("tag", value=tag[:LONGEST_TAG], most=LONGEST_TAG)
    return tag


def parted(ids: Collection[int]) -> Iterator[list[int]]:
    """Yield `ids` in parts that one statement can take. Raises `BadRequest` when there are too many of them."""
    if len(ids) > AT_ONCE:
        raise BadRequest("too_many_pictures", count=len(ids), most=AT_ONCE)
    whole = sorted(ids)
    for first in range(0, len(whole), _IN_ONE):
        yield whole[first : first + _IN_ONE]
