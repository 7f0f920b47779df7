"""Model files over HTTP: search, details, and the pictures beside them; found by kind and name, never by path."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Body, HTTPException, Query, Response
from fastapi.responses import FileResponse
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from modules.api.pictures import SEALED, keep
from modules.model_manager.kinds import KINDS
from modules.model_manager.model_file import Details, ModelFile
from modules.server.server import Server

SIDE = 512  # pixels of a preview's longer side, at most
MOST = 500  # files in one answer
TEXT = 20_000  # characters of one field a person wrote

Name = Annotated[str, Query(min_length=1, max_length=500)]
Text = Annotated[str, Field(max_length=TEXT)]
Sort = Literal["name", "path", "created", "modified"]


class Changes(BaseModel):
    """What a person writes down beside a model; what is not given stays as it is."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    description: Text | None = None
    notes: Text | None = None
    trigger_words: Text | None = None
    negative_text: Text | None = None
    preferred_weight: float | None = Field(None, ge=0, le=2)
    sd_version: Literal["", "SD1", "SD2", "SDXL"] | None = None
    vae: str | None = Field(None, max_length=500)


def router(server: Server) -> APIRouter:
    """Return the routes below `/easel/models`."""
    routes = APIRouter(prefix="/easel/models")

    @routes.get("")
    def search(
        kind: str = "checkpoint",
        words: str = "",
        family: str = "",
        folder: str = "",
        sort: Sort = "name",
        descending: bool = False,
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 60,
    ) -> dict[str, Any]:
        """List the files of a kind that fit, a page at a time; broken ones come last, with their problem."""
        found = server.catalog.search(_kind(kind), words, family, folder, sort, descending, offset, limit)
        return {"total": found.total, "files": [_told(file) for file in found.files]}

    @routes.post("/refresh")
    def refresh() -> dict[str, bool]:
        """Look for new files now."""
        return {"changed": server.catalog.refresh()}

    @routes.get("/details")
    def details(kind: str, name: Name) -> dict[str, Any]:
        """Tell what a file says of itself, and what was written down beside it."""
        file = _found(server, kind, name)
        return _described(file, server.catalog.details(file))

    @routes.put("/details")
    def write(kind: str, name: Name, changes: Annotated[Changes, Body()]) -> dict[str, Any]:
        """Write down what is given beside the file, as A1111 does."""
        file = _found(server, kind, name)
        server.catalog.save_details(file, changes.model_dump(exclude_none=True))
        return _described(file, server.catalog.details(file))

    @routes.api_route("/preview", methods=["GET", "HEAD"])
    def preview(kind: str, name: Name) -> Response:
        """Return the picture beside a file as WebP, at most 512 pixels wide and high."""
        found = server.catalog.details(_found(server, kind, name)).preview
        if found is None:
            raise HTTPException(404)
        return FileResponse(_small(server, found), media_type="image/webp", headers=SEALED)

    @routes.put("/preview")
    def replace(kind: str, name: Name, picture: Annotated[int, Body(embed=True, ge=1, lt=2**63)]) -> dict[str, Any]:
        """Put a picture of the library, given by its id, beside a file."""
        file = _found(server, kind, name)
        row = server.library.get(picture)
        if row is None or not row.path.is_file():
            raise HTTPException(404)
        server.catalog.set_preview(file, row.path)
        file = _found(server, kind, name)
        return _described(file, server.catalog.details(file))

    return routes


def preview_url(file: ModelFile, preview: Path | None) -> str:
    """Return the address of the picture `preview` beside `file`, empty when there is none.

    It carries when the picture was changed, so that no cache mistakes it.
    """
    try:
        moment = preview.stat().st_mtime_ns if preview is not None else 0
    except OSError:  # gone by now
        moment = 0
    if not moment:
        return ""
    name = file.name.encode("utf-8", "replace").decode()
    return "/easel/models/preview?" + urlencode({"kind": file.kind, "name": name, "at": format(moment, "x")})


def _found(server: Server, kind: str, name: str) -> ModelFile:
    file = server.catalog.get(name, _kind(kind))
    if file is None:
        raise HTTPException(404)
    return file


def _kind(kind: str) -> str:
    if kind not in KINDS:
        raise HTTPException(404)
    return kind


def _small(server: Server, preview: Path) -> Path:
    """Return the small version of a picture, made once and kept in the state folder."""
    try:
        stamp = f"{preview}|{preview.stat().st_mtime_ns}".encode("utf-8", "surrogateescape")
        kept = server.settings.state / "thumbnails" / "models" / f"{hashlib.sha256(stamp).hexdigest()[:32]}.webp"
        if not kept.is_file():
            keep(kept, server.files.thumbnail(preview, SIDE))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # not the picture it says it is
        raise HTTPException(404) from error
    return kept


def _told(file: ModelFile) -> dict[str, Any]:
    return {
        "kind": file.kind,
        "name": file.name,
        "title": file.title,
        "folder": file.folder,
        "family": file.family,
        "hash": file.hash,
        "sha256": file.sha256,
        "size": file.size,
        "modified": file.modified,
        "alias": file.alias,
        "problem": file.problem,
        "preview": file.preview,
    }


def _described(file: ModelFile, details: Details) -> dict[str, Any]:
    return _told(file) | {
        "description": details.description,
        "notes": details.notes,
        "trigger_words": details.trigger_words,
        "negative_text": details.negative_text,
        "preferred_weight": details.preferred_weight,
        "sd_version": details.sd_version,
        "vae": details.vae,
        "tags": [{"word": word, "count": count} for word, count in details.tags],
        "metadata": details.metadata,
        "preview": preview_url(file, details.preview),
    }
