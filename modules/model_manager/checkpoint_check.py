"""Whether the checkpoints of one request go together: asked before it is queued, by headers alone."""

from __future__ import annotations

import math
from collections.abc import Mapping

from modules.errors import BadRequest
from modules.families.family import Family, LatentFormat
from modules.model_manager.catalog import Catalog, ModelFile
from modules.model_manager.header import read_header
from modules.model_manager.hires_check import LATENT
from modules.model_manager.identify import built_in_families, identify
from modules.request import Request


def checked_checkpoints(
    request: Request, first: ModelFile, catalog: Catalog, families: Mapping[str, Family] | None = None
) -> Request:
    """Return `request` with the checkpoints of its second pass and its refiner as the catalog names them.

    `first` is that of the first pass. Raises `UnknownModel` for one that is not there, `BadRequest` for one that would
    have to go on with latents of another kind, and what is wrong with a file that cannot be read.
    """
    hires, refiner = request.hires, request.refiner
    second = first
    changed: dict[str, object] = {}
    if hires is not None and hires.model:
        second = catalog.find(hires.model)
        changed["hires"] = hires.model_copy(update={"model": second.name})
        if hires.upscaler in LATENT:
            _see_alike(first, second, families)
    if refiner is not None:
        file = catalog.find(refiner.model)
        changed["refiner"] = refiner.model_copy(update={"model": file.name})
        if hires is None or refiner.passes != "second":
            _see_alike(first, file, families)
        if hires is not None and refiner.passes != "first":
            _see_alike(second, file, families)
    return request.model_copy(update=changed)


def _alike(one: LatentFormat, other: LatentFormat) -> bool:
    """Return whether latents of one kind can be read as of the other."""
    if (one.channels, one.factor) != (other.channels, other.factor):
        return False
    return math.isclose(one.scale, other.scale, rel_tol=1e-3) and math.isclose(one.shift, other.shift, abs_tol=1e-3)


def _see_alike(one: ModelFile, other: ModelFile, families: Mapping[str, Family] | None) -> None:
    if one.path == other.path:
        return
    families = families or built_in_families()
    if not _alike(_latents(one, families), _latents(other, families)):
        raise BadRequest("latents_differ", name=other.name, model=one.name)


def _latents(file: ModelFile, families: Mapping[str, Family]) -> LatentFormat:
    """Return what the latents of a checkpoint look like: as its autoencoder says, else as they do in its family."""
    header = read_header(file.path)
    latent = identify(header, families).latent
    config = header.configs.get("vae", {})
    scale, shift = config.get("scaling_factor"), config.get("shift_factor")
    return LatentFormat(
        latent.channels,
        latent.factor,
        scale if isinstance(scale, int | float) else latent.scale,
        shift if isinstance(shift, int | float) else latent.shift,
        latent.rgb,
    )
