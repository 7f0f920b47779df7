"""Whether a picture can be made larger in tiles as a request wants it: asked before it is queued."""

from __future__ import annotations

from collections.abc import Sequence

from modules.images.inputs import Inputs
from modules.images.tiles import tiled_size
from modules.model_manager.catalog import Catalog
from modules.model_manager.extras_task import upscaler_named
from modules.request import Request


def checked_tiles(request: Request, catalog: Catalog, offered: Sequence[str], inputs: Inputs) -> Request:
    """Return `request` with the upscaler of its tiles as it is called.

    Raises `BadRequest` for an upscaler or a picture that is not there and a result that would be too large, and an
    error of its own for a file that cannot be loaded.
    """
    if request.init is None or request.tiles is None:
        return request
    tiles = request.tiles.model_copy(update={"upscaler": upscaler_named(request.tiles.upscaler, catalog, offered)})
    tiled_size(inputs.open(request.init.image).size, tiles.scale)
    return request.model_copy(update={"tiles": tiles})
