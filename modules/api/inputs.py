"""Pictures that people bring, over HTTP: put by their bytes, seen by the name that says what they are."""

import asyncio
import io
from typing import Literal

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import FileResponse
from PIL import Image

from modules.api.pictures import SEALED, keep
from modules.errors import BadRequest
from modules.images.inputs import LARGEST, check
from modules.images.resize import flattened
from modules.server.server import Server

Side = Literal["160", "768", "1600"]
"""The longer side of what is shown, in pixels: in a list, in its place, and large."""


def router(server: Server) -> APIRouter:
    """Return the routes below `/easel/inputs`."""
    routes = APIRouter(prefix="/easel/inputs")

    @routes.post("", status_code=201)
    async def put(request: Request) -> dict[str, object]:
        """Keep the picture file in the body, and answer with its name and size; 422 when it cannot be used."""
        data = bytearray()
        async for part in request.stream():
            data += part
            if len(data) > LARGEST:
                raise BadRequest("picture_bytes", size=round(len(data) / 2**20), most=LARGEST // 2**20)
        return await asyncio.to_thread(_kept, server, bytes(data))

    @routes.get("/{side}/{name}.webp")
    def show(side: Side, name: str) -> Response:
        """Return the picture as a WebP of at most so many pixels, upright, made once and kept in the state folder."""
        if not server.inputs.has(name):
            raise HTTPException(404)
        kept = server.settings.state / "thumbnails" / "inputs" / f"{name}-{side}.webp"
        if not kept.is_file():
            keep(kept, _small(server.inputs.open(name), int(side)))
        return FileResponse(kept, media_type="image/webp", headers=SEALED)

    return routes


def input_url(name: str, side: Side = "1600") -> str:
    """Return the address of a picture somebody brought."""
    return f"/easel/inputs/{side}/{name}.webp"


def flat_copy(server: Server, name: str, side: int, background: str = "#ffffff") -> Image.Image:
    """Return the picture `name` as RGB, at most `side` pixels wide and high: what one draws on."""
    image = flattened(server.inputs.open(name), background)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def _kept(server: Server, data: bytes) -> dict[str, object]:
    name = server.inputs.put(data)
    width, height = check(data)
    return {"name": name, "width": width, "height": height}


def _small(image: Image.Image, side: int) -> bytes:
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    image.save(data, "WEBP", quality=88)
    return data.getvalue()
