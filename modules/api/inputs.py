"""Pictures that people bring, over HTTP: taken in as bytes, shown again by their name."""

import asyncio
import io

from fastapi import APIRouter, HTTPException, Request, Response
from PIL import Image

from modules.api.pictures import SEALED
from modules.errors import BadRequest
from modules.images.inputs import LARGEST, NAME, check
from modules.images.resize import flattened
from modules.server.server import Server

SIDES = (96, 1536)  # pixels of the longer side that a picture is shown with
QUALITY = 88


def router(server: Server) -> APIRouter:
    """Return the routes below `/easel/inputs`."""
    routes = APIRouter(prefix="/easel/inputs")

    @routes.post("", status_code=201)
    async def put(request: Request) -> dict[str, object]:
        """Keep the picture file that is the body, and answer with its name and size."""
        data = bytearray()
        async for part in request.stream():
            data += part
            if len(data) > LARGEST:
                raise BadRequest("picture_bytes", size=f"> {LARGEST // 2**20}", most=LARGEST // 2**20)
        return await asyncio.to_thread(_kept, server, bytes(data))

    @routes.post("/pictures/{id}", status_code=201)
    def from_library(id: int) -> dict[str, object]:
        """Keep a finished picture as one to work on, and answer with its name and size."""
        row = server.library.get(id) if id < 2**63 else None
        if row is None or not row.path.is_file():
            raise HTTPException(404)
        return _kept(server, row.path.read_bytes())

    @routes.api_route("/{name}.webp", methods=["GET", "HEAD"])
    def shown(name: str, side: int = SIDES[1]) -> Response:
        """Return the picture as WebP, at most `side` pixels wide and high."""
        if NAME.fullmatch(name) is None or not server.inputs.has(name):
            raise HTTPException(404)
        image = server.inputs.open(name)
        longest = min(max(side, SIDES[0]), SIDES[1])
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
        data = io.BytesIO()
        image.save(data, "WEBP", quality=QUALITY)
        return Response(data.getvalue(), media_type="image/webp", headers=SEALED)

    return routes


def input_url(name: str, side: int = SIDES[1]) -> str:
    """Return the address of the picture `name`, at most `side` pixels wide and high."""
    return f"/easel/inputs/{name}.webp?side={side}"


def flat_copy(server: Server, name: str, side: int, background: str = "#ffffff") -> Image.Image:
    """Return the picture `name` as RGB, at most `side` pixels wide and high: what one draws on."""
    image = flattened(server.inputs.open(name), background)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def _kept(server: Server, data: bytes) -> dict[str, object]:
    name = server.inputs.put(data)
    width, height = check(data)
    return {"name": name, "width": width, "height": height}
