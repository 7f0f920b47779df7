"""Layers of a U-Net that say something else for one call: by torch's hooks, so that nothing of them is changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from modules.controls.control import NEGATIVE, SLOPE, Guide
from modules.families.family import Conditioning


class Hooking(Protocol):
    """What puts hooks on a layer."""

    def attach(self) -> Iterable[RemovableHandle]:
        """Put them on."""
        ...


@contextmanager
def hooked(layers: Iterable[Hooking]) -> Iterator[None]:
    """Let layers be hooked until the `with` is left."""
    with ExitStack() as handles:
        for layer in layers:
            for handle in layer.attach():
                handles.callback(handle.remove)
        yield


def layer_weights(names: Sequence[str], guide: Guide) -> list[float]:
    """Return the weight of each layer of those names ("up_blocks.1.attentions.0.…"), in diffusers' order.

    All weigh what the unit does; when the prompt counts more, the less the farther they are from the middle.
    """
    blocks = list(dict.fromkeys(_block(name) for name in names))
    down = [each for each in blocks if each.startswith("down_")]
    up = [each for each in blocks if each.startswith("up_")]
    away = {each: place for place, each in enumerate(reversed(down), 1)} | {
        each: place for place, each in enumerate(up, 1)
    }
    soft = guide.mode == "prompt"
    return [guide.weight * (SLOPE ** away.get(_block(name), 0) if soft else 1.0) for name in names]


def acting_rows(conditioning: Conditioning, guide: Guide) -> Tensor | None:
    """Return (B, 1, 1), 1 for rows that the unit acts on and 0 for others; None when it acts on all.

    Negative prompts are left alone when the control counts more.
    """
    negative = conditioning.extra.get(NEGATIVE)
    if guide.mode != "control" or negative is None or not bool(negative.any()):
        return None
    return (negative.flatten() == 0).float()[:, None, None]


def place_of(mask: Tensor, tokens: int, height: int, width: int) -> Tensor:
    """Return a mask (1, 1, H, W) as (1, tokens, 1): `tokens` are those of a level of a U-Net on `height` x `width`."""
    while height * width > tokens:
        height, width = -(-height // 2), -(-width // 2)
    with torch.no_grad():
        return F.interpolate(mask, (height, width), mode="area").flatten(2).transpose(1, 2)


def _block(name: str) -> str:
    return name.partition(".transformer_blocks.")[0]
