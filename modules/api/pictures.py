"""Pictures over HTTP: the files themselves, small versions of them, and live previews; found by id, never by path."""

import os
import secrets
from pathlib import Path
from types import MappingProxyType

from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import FileResponse
from PIL import Image

from modules.images.formats import mime
from modules.library.pictures import PictureRow
from modules.server.server import Server

SIDE = 288  # pixels of a thumbnail's longer side, at most: four columns on a dense screen
SEALED = MappingProxyType(
    {
        # A picture never changes under its address (the address carries when it was made), so it is asked for once.
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }
)


def router(server: Server) -> APIRouter:
    """Return the routes of pictures, thumbnails and previews."""
    routes = APIRouter(prefix="/easel")

    @routes.api_route("/pictures/{id}", methods=["GET", "HEAD"])
    def picture(id: int, download: str | None = None) -> Response:
        """Return the picture's file; as a file to keep when `download` is given."""
        return _file(_row(server, id), "inline" if download is None else "attachment")

    @routes.api_route("/thumbnails/{id}.webp", methods=["GET", "HEAD"])
    def thumbnail(id: int) -> Response:
        """Return a WebP at most 288 pixels wide and high, made once and kept in the state folder."""
        return _thumbnail(server, _row(server, id))

    @routes.api_route("/trash/pictures/{id}", methods=["GET", "HEAD"])
    def trashed_picture(id: int) -> Response:
        """Return the file of a picture in the trash."""
        return _file(_trashed(server, id), "inline")

    @routes.api_route("/trash/thumbnails/{id}.webp", methods=["GET", "HEAD"])
    def trashed_thumbnail(id: int) -> Response:
        """Return the small version of a picture in the trash."""
        return _thumbnail(server, _trashed(server, id))

    @routes.get("/previews/{job}")
    def preview(job: str) -> Response:
        """Return how the job's picture looks now."""
        found = server.feed.preview(job)
        if found is None:
            raise HTTPException(404)
        return Response(found[1], media_type="image/webp", headers={**SEALED, "Cache-Control": "no-store"})

    return routes


def picture_url(row: PictureRow, download: bool = False) -> str:
    """Return the address of a picture. It carries when the picture was made, so that no cache mistakes it."""
    return f"{_room(row)}/pictures/{row.id}?at={_moment(row)}" + ("&download" if download else "")


def thumbnail_url(row: PictureRow) -> str:
    """Return the address of a picture's small version."""
    return f"{_room(row)}/thumbnails/{row.id}.webp?at={_moment(row)}"


def forget(server: Server, row: PictureRow) -> None:
    """Remove what is kept of a picture that is on record no more."""
    _kept(server, row).unlink(missing_ok=True)


def _room(row: PictureRow) -> str:
    return "/easel" if row.trashed is None else "/easel/trash"


def _row(server: Server, id: int) -> PictureRow:
    return _there(server.library.get(id) if id < 2**63 else None)


def _trashed(server: Server, id: int) -> PictureRow:
    row = server.library.anywhere(id) if id < 2**63 else None
    return _there(None if row is None or row.trashed is None else row)


def _there(row: PictureRow | None) -> PictureRow:
    if row is None or not row.path.is_file():
        raise HTTPException(404)
    return row


def _file(row: PictureRow, disposition: str) -> Response:
    return FileResponse(
        row.path,
        media_type=mime(row.path.suffix),
        headers=SEALED,
        filename=row.path.name,
        content_disposition_type=disposition,
    )


def _thumbnail(server: Server, row: PictureRow) -> Response:
    kept = _kept(server, row)
    if not kept.is_file():
        try:
            keep(kept, server.files.thumbnail(row.path, SIDE))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # a damaged file, or none now
            raise HTTPException(404) from error
    return FileResponse(kept, media_type="image/webp", headers=SEALED)


def _kept(server: Server, row: PictureRow) -> Path:
    return server.settings.state / "thumbnails" / f"{row.id // 1000}" / f"{row.id}-{_moment(row)}.webp"


def _moment(row: PictureRow) -> str:
    return format(int(row.created.timestamp() * 1000), "x")


def keep(path: Path, data: bytes) -> None:
    """Write `data` as `path` in the state folder; nobody sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(6)}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)
