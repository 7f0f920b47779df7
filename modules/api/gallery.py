"""The gallery over HTTP: searching pictures, stars, tags, the trash, and several pictures as one file.

Pictures are named by their ids, never by a path. What changes something is a POST.
"""

import contextlib
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol
from urllib.parse import quote

from fastapi import APIRouter, Body, Form, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import Field

from modules.api.archive import zipped
from modules.api.pictures import forget, picture_url, thumbnail_url
from modules.errors import BadRequest
from modules.library.gallery import AT_ONCE, PAGE, Choices, Hits
from modules.library.pictures import PictureRow
from modules.library.search import Search
from modules.library.trash import Moved
from modules.server.keeping import archive_name
from modules.server.server import Server

LARGEST = 200  # pictures of one page, at most

Id = Annotated[int, Field(ge=1, lt=2**63)]
Ids = Annotated[list[Id], Body(embed=True, min_length=1)]
Tags = Annotated[list[Annotated[str, Field(max_length=500)]], Body(embed=True, max_length=50)]


class Asked(Search):
    """A search, and which page of what it finds: of pictures with an id below `before`, or above `after`."""

    before: Id | None = None
    after: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    limit: Annotated[int, Field(ge=1, le=LARGEST)] = PAGE

    @property
    def search(self) -> Search:
        """The search without the page."""
        return Search.model_validate({name: getattr(self, name) for name in Search.model_fields})


class Drawn(Protocol):
    """What the page shows of the gallery as HTML; `language` is what a browser says it accepts."""

    def filters(self, search: Search, choices: Choices, language: str) -> str:
        """Return the controls."""

    def cells(self, search: Search, rows: Sequence[PictureRow], hits: Hits | None, more: bool, language: str) -> str:
        """Return one page of pictures, with how many there are in all where that was counted."""

    def details(self, row: PictureRow, tags: Sequence[str], known: Sequence[str], language: str) -> str:
        """Return everything about a picture; `known` are tags that are offered."""

    def compared(self, rows: tuple[PictureRow, PictureRow], language: str) -> str:
        """Return two pictures beside each other."""


def router(server: Server, drawn: Drawn) -> APIRouter:
    """Return the routes below `/easel/gallery`."""
    routes = APIRouter()
    for each in (_looking(server), _pages(server, drawn), _changing(server)):
        routes.include_router(each, prefix="/easel/gallery")
    return routes


def _looking(server: Server) -> APIRouter:
    routes = APIRouter()

    @routes.get("")
    def search(asked: Annotated[Asked, Query()]) -> dict[str, Any]:
        """List the pictures that fit, newest first; `next` is the `before` of the next page, null after the last."""
        rows, more, hits = _page(server, asked)
        tags = server.gallery.tags([row.id for row in rows])
        return {
            "hits": None if hits is None else hits.count,
            "more_hits": hits is not None and hits.more,
            "next": rows[-1].id if more else None,
            "pictures": [_told(row, tags[row.id]) for row in rows],
        }

    @routes.post("/download")
    def download(ids: Annotated[str, Form(max_length=AT_ONCE * 20)]) -> Response:
        """Send the pictures with these ids (numbers with commas between them) as one zip file, written as it goes."""
        rows = [row for row in _rows(server, _numbers(ids)) if row.path.is_file()]
        if not rows:
            raise HTTPException(404)
        name = f"{_archive(rows, server)}.zip"
        plain = name.encode("ascii", "replace").decode().replace("?", "_")  # for what reads no other letters
        said = f"attachment; filename=\"{plain}\"; filename*=utf-8''{quote(name)}"
        headers = {"Content-Disposition": said, "Cache-Control": "no-store"}
        return StreamingResponse(zipped(_named(rows, server)), media_type="application/zip", headers=headers)

    return routes


def _pages(server: Server, drawn: Drawn) -> APIRouter:
    routes = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @routes.get("/cells")
    def cells(request: Request, asked: Annotated[Asked, Query()]) -> str:
        """Return a page of pictures as HTML; the first one says how many there are."""
        rows, more, hits = _page(server, asked)
        return drawn.cells(asked.search, rows, hits, more, _language(request))

    @routes.get("/filters")
    def filters(request: Request, search: Annotated[Search, Query()]) -> str:
        """Return the controls as HTML, with what there is to choose from now."""
        return drawn.filters(search, server.gallery.choices(), _language(request))

    @routes.get("/details/{id}")
    def details(request: Request, id: int) -> str:
        """Return everything about a picture as HTML."""
        row = _anywhere(server, id)
        known = [tag for tag, _ in server.gallery.known_tags()]
        return drawn.details(row, server.gallery.tags([id])[id], known, _language(request))

    @routes.get("/compare/{one}/{other}")
    def compare(request: Request, one: int, other: int) -> str:
        """Return two pictures beside each other as HTML."""
        return drawn.compared((_anywhere(server, one), _anywhere(server, other)), _language(request))

    return routes


def _changing(server: Server) -> APIRouter:
    routes = APIRouter()

    @routes.post("/rate")
    def rate(ids: Ids, rating: Annotated[int, Body(embed=True)]) -> dict[str, int]:
        """Give pictures so many stars, 0 to 5."""
        return {"changed": server.gallery.rate(ids, rating)}

    @routes.post("/tag")
    def tag(ids: Ids, add: Tags = [], remove: Tags = []) -> dict[str, dict[int, Sequence[str]]]:  # noqa: B006
        """Give tags to pictures, and take tags from them; answers with the tags they have then."""
        server.gallery.tag(ids, add, remove)
        return {"tags": {id: list(tags) for id, tags in server.gallery.tags(ids).items()}}

    @routes.post("/trash")
    def trash(ids: Ids) -> dict[str, Sequence[int]]:
        """Move pictures into the trash, all of them or none."""
        return _moved(server.trash.put(ids))

    @routes.post("/restore")
    def restore(ids: Ids) -> dict[str, Sequence[int]]:
        """Move pictures out of the trash to where they were, all of them or none."""
        return _moved(server.trash.restore(ids))

    @routes.post("/delete")
    def delete(ids: Ids) -> dict[str, Sequence[int]]:
        """Delete for good those of the pictures that are in the trash."""
        return {"ids": _forgotten(server, server.trash.delete(ids))}

    @routes.post("/drop")
    def drop(ids: Ids) -> dict[str, Sequence[int]]:
        """Take those of the pictures whose file is gone off the list."""
        return {"ids": _forgotten(server, server.trash.drop(ids))}

    @routes.post("/empty")
    def empty(until: Annotated[float, Body(embed=True, gt=0, allow_inf_nan=False)]) -> dict[str, int]:
        """Delete for good what went into the trash until then (seconds since 1970)."""
        return {"deleted": sum(len(_forgotten(server, part)) for part in server.trash.empty(until))}

    return routes


def _page(server: Server, asked: Asked) -> tuple[list[PictureRow], bool, Hits | None]:
    """Return a page, whether there is another one after it, and how many pictures fit where that may be new."""
    limit = asked.limit + 1
    if asked.before is None and asked.after is None:
        rows, hits = server.gallery.first_page(asked.search, limit)
        return rows[: asked.limit], len(rows) > asked.limit, hits
    rows = server.gallery.page(asked.search, asked.before, asked.after, limit)
    news = asked.before is None and bool(rows)  # newer ones than before: there are more now
    now = server.gallery.first_page(asked.search, 1)[1] if news else None
    return rows[: asked.limit], len(rows) > asked.limit, now


def _anywhere(server: Server, id: int) -> PictureRow:
    row = server.library.anywhere(id) if 0 < id < 2**63 else None
    if row is None:
        raise HTTPException(404)
    return row


def _rows(server: Server, ids: Iterable[int]) -> list[PictureRow]:
    found = (server.library.anywhere(id) for id in ids)
    return [row for row in found if row is not None]


def _numbers(text: str) -> list[int]:
    """Read ids with commas between them; each once. Raises `BadRequest` when one is none or there are too many."""
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not (part.isascii() and part.isdigit() and len(part) < 19):
            raise BadRequest("bad_value", field="ids", value=part[:60])
    ids = list(dict.fromkeys(map(int, parts)))
    if len(ids) > AT_ONCE:
        raise BadRequest("too_many_pictures", count=len(ids), most=AT_ONCE)
    return ids


def _named(rows: Iterable[PictureRow], server: Server) -> Iterable[tuple[str, Path]]:
    """Yield the name of each file in the zip: as it lies in the outputs, or where it lies elsewhere, behind its id."""
    for row in rows:
        name = server.library.name(row.path)
        yield (f"{row.id}-{row.path.name}" if Path(name).is_absolute() else name.removeprefix(".trash/")), row.path


def _archive(rows: Sequence[PictureRow], server: Server) -> str:
    """Return what a zip file is called: by the pattern for the pictures of one job, else by the moment."""
    if rows[0].job and {row.job for row in rows} == {rows[0].job}:
        with contextlib.suppress(OSError):
            return archive_name(rows, server.options.now.grid_zip_filename_pattern)
    return time.strftime("easel-%Y-%m-%d-%H%M%S")


def _forgotten(server: Server, rows: Collection[PictureRow]) -> list[int]:
    for row in rows:
        forget(server, row)
    return [row.id for row in rows]


def _moved(moved: Moved) -> dict[str, Sequence[int]]:
    return {"ids": moved.ids, "gone": moved.gone}


def _language(request: Request) -> str:
    return request.headers.get("accept-language", "")


def _told(row: PictureRow, tags: Sequence[str]) -> dict[str, Any]:
    return {
        "id": row.id,
        "url": picture_url(row),
        "thumbnail": thumbnail_url(row),
        "name": row.path.name,
        "there": row.path.is_file(),
        "width": row.width,
        "height": row.height,
        "created": row.created.isoformat(),
        "owner": row.owner,
        "model": row.recipe.model,
        "sampler": row.recipe.sampler,
        "seed": row.recipe.seed,
        "rating": row.rating,
        "tags": list(tags),
        "trashed": None if row.trashed is None else row.trashed.isoformat(),
        "parameters": row.infotext,
    }
