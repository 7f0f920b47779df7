"""Pictures that people bring, over HTTP: put by their bytes, seen by the name that says what they are."""

import io
from typing import Literal

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from PIL import Image
from starlette.concurrency import run_in_threadpool

from modules.api.pictures import SEALED, keep
from modules.errors import BadRequest, EaselError
from modules.images.inputs import LARGEST
from modules.server.server import Server
from modules.words import load_words, preferred

Side = Literal["160", "1600"]
"""The longer side of what is shown, in pixels: in a list, and large."""


def router(server: Server) -> APIRouter:
    """Return the routes below `/easel/inputs`."""
    routes = APIRouter(prefix="/easel")

    @routes.post("/inputs")
    async def put(request: Request) -> Response:
        """Keep the picture file in the body and answer with its name; 422 with a sentence when it cannot be used."""
        data = bytearray()
        try:
            async for chunk in request.stream():
                data += chunk
                if len(data) > LARGEST:
                    raise BadRequest("picture_bytes", size=round(len(data) / 2**20), most=LARGEST // 2**20)
            name = await run_in_threadpool(server.inputs.put, bytes(data))
        except EaselError as error:
            words = load_words(preferred(request.headers.get("accept-language", "")))
            return JSONResponse({"error": error.key, "message": error.say(words)}, 422)
        return JSONResponse({"name": name}, 201)

    @routes.get("/inputs/{side}/{name}.webp")
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


def _small(image: Image.Image, side: int) -> bytes:
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    image.save(data, "WEBP", quality=88)
    return data.getvalue()
