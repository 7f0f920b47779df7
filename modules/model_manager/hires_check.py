"""Whether a second pass can be made as a request wants it: asked before it is queued."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType

from modules.errors import BadRequest
from modules.images.larger import larger_size
from modules.model_manager.catalog import Catalog
from modules.model_manager.extras_task import upscaler_named
from modules.offers import Offers
from modules.request import Request

# A1111's ways to stretch latents: how torch interpolates, and whether what becomes smaller is smoothed.
LATENT = MappingProxyType(
    {
        "Latent": ("bilinear", False),
        "Latent (antialiased)": ("bilinear", True),
        "Latent (bicubic)": ("bicubic", False),
        "Latent (bicubic antialiased)": ("bicubic", True),
        "Latent (nearest)": ("nearest", False),
        "Latent (nearest-exact)": ("nearest-exact", False),
    }
)


def hires_upscalers(names: Sequence[str]) -> list[str]:
    """Return what a second pass may begin with: the ways to stretch latents, and the upscalers of that `names`."""
    return [*LATENT, *names]


def checked_hires(
    request: Request, catalog: Catalog, offers: Offers, there: Callable[[str], bool] = lambda name: True
) -> Request:
    """Return `request` with upscaler, sampler and schedule of its second pass as they are called.

    `there` tells whether there is a picture of a name. Raises `BadRequest` for what is not there and for a size that
    is too large, and an error of its own for a file that cannot be loaded.
    """
    hires = request.hires
    if hires is None:
        return request
    if hires.image and not there(hires.image):
        raise BadRequest("picture_gone", value=hires.image[:12])
    if request.width and request.height:
        larger_size(hires, request.width, request.height)
    known = next((name for name in LATENT if name.lower() == hires.upscaler.strip().lower()), None)
    if known is None:
        known = upscaler_named(hires.upscaler, catalog, offers.upscalers)
        if not known:
            raise BadRequest("unknown_upscaler", value=hires.upscaler[:60], allowed=", ".join(LATENT))
    asked = {"sampler": hires.sampler or request.sampler, "schedule": hires.schedule or request.schedule}
    settled = offers.settle(request.model_copy(update=asked))
    used = {"upscaler": known, "sampler": settled.sampler, "schedule": settled.schedule}
    return request.model_copy(update={"hires": hires.model_copy(update=used)})
