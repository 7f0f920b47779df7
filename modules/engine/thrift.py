"""How attention saves work, as a request wants it for one of its passes."""

from __future__ import annotations

from dataclasses import replace

from modules.families.family import Model, Thrift
from modules.request import Request


def thrifty(model: Model, request: Request, second: bool) -> Model:
    """Return `model` as it answers in a pass of `request`; its weights are shared, and it stays as it is."""
    asked = request.merging
    ratio = 0.0
    if asked is not None:
        ratio = (asked.merge_ratio_hires or asked.merge_ratio) if second else asked.merge_ratio
    tiles = request.hypertile
    thrift = Thrift(merge_ratio=ratio)
    if tiles is not None and (tiles.tile_attention or (second and tiles.tile_attention_hires)):
        side = tiles.max_tile // model.latent.factor
        thrift = replace(thrift, tile=side, tile_depth=tiles.max_depth, tile_choices=tiles.swap_size)
    return model.with_thrift(thrift) if thrift != Thrift() else model
