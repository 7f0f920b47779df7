"""How attention saves work, as a request wants it for one of its passes."""

from __future__ import annotations

from modules.families.family import Model, Thrift
from modules.request import Request


def thrifty(model: Model, request: Request, second: bool) -> Model:
    """Return `model` as it answers in a pass of `request`; its weights are shared, and it stays as it is."""
    asked = request.merging
    ratio = 0.0
    if asked is not None:
        ratio = (asked.merge_ratio_hires or asked.merge_ratio) if second else asked.merge_ratio
    thrift = Thrift(merge_ratio=ratio)
    return model.with_thrift(thrift) if thrift != Thrift() else model
