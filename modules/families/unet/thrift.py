"""Self-attention of a U-Net that looks at less for one call: at a tile at a time, at merged tokens, or both.

Nothing of the network is changed but which function its attention calls, and that until the call has returned.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from modules.families.family import Conditioning, Thrift
from modules.families.unet.attention_tiles import cut, tile_counts, tile_side, uncut
from modules.families.unet.merging import matched

WHOLE = "whole"  # in `Conditioning.extra`: something looks at single tokens, and all of them must be there

Process = Callable[[Attention, Tensor, "Tensor | None", int, int], Tensor]
"""(attention, tokens (B, height * width, C), mask, height, width) -> what it says of each."""


def wholly(conditioning: Conditioning) -> Conditioning:
    """Return `conditioning` under which attention looks at all there is."""
    marks = torch.ones((len(conditioning.context), 1), device=conditioning.context.device)
    return replace(conditioning, extra={**conditioning.extra, WHOLE: marks})


@dataclass(frozen=True)
class Sparing:
    """The self-attentions of a U-Net, each with how often its level is halved, and how they save work."""

    thrift: Thrift
    attentions: tuple[tuple[Attention, int], ...]

    @classmethod
    def of(cls, unet: UNet2DConditionModel, thrift: Thrift) -> Sparing:
        """Find the self-attentions of `unet`."""
        last = len(unet.config.block_out_channels) - 1
        found = [
            (block.attn1, _halvings(name, last))
            for name, block in unet.named_modules()
            if isinstance(block, BasicTransformerBlock) and not block.only_cross_attention
        ]
        return cls(thrift, tuple(found))

    @contextmanager
    def during(self, sigma: float, height: int, width: int) -> Iterator[None]:
        """Save work in a call for latents of `height` x `width` cells at the level `sigma`."""
        before = [attention.processor for attention, _ in self.attentions]
        widest = min((halvings for _, halvings in self.attentions), default=0)
        thrift = self.thrift
        try:
            for place, (attention, halvings) in enumerate(self.attentions):
                process, depth = _plain(attention.processor), halvings - widest
                if thrift.merge_ratio and not depth:
                    process = _merging(process, thrift.merge_ratio)
                if thrift.tile >= 0 and depth <= thrift.tile_depth:
                    least = tile_side(height, width, thrift.tile) * 2**depth
                    process = _tiling(process, least, thrift.tile_choices, f"{sigma} {place}")
                attention.processor = _sized(process, -(-height // 2**halvings), -(-width // 2**halvings))
            yield
        finally:
            for (attention, _), processor in zip(self.attentions, before, strict=True):
                attention.processor = processor


def _halvings(name: str, last: int) -> int:
    """Return how often the level of a block is halved: "down_blocks.1.…", "mid_block.…", "up_blocks.0.…"."""
    kind, _, rest = name.partition("_")
    place = rest.split(".")[1]
    return last if kind == "mid" else int(place) if kind == "down" else last - int(place)


def _plain(processor: Any) -> Process:
    """Return a processor of diffusers as what self-attention needs of it."""

    def process(attention: Attention, x: Tensor, mask: Tensor | None, height: int, width: int) -> Tensor:
        found: Tensor = processor(attention, x, encoder_hidden_states=None, attention_mask=mask)
        return found

    return process


def _sized(process: Process, height: int, width: int) -> Callable[..., Tensor]:
    """Return `process` as diffusers calls it, for tokens of a level of that size."""

    def processor(
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        return process(attn, hidden_states, attention_mask, height, width)

    return processor


def _tiling(inner: Process, least: int, choices: int, seed: str) -> Process:
    """Return `inner` for one tile at a time, whose sides are `least` or more; `seed` draws one of the `choices`.

    What is drawn depends on the level and the layer alone, so that a picture comes again, in whatever batch it is.
    """

    def process(attention: Attention, x: Tensor, mask: Tensor | None, height: int, width: int) -> Tensor:
        draw = random.Random(seed)
        rows, columns = (draw.choice(tile_counts(side, least, choices)) for side in (height, width))
        if rows * columns == 1:
            return inner(attention, x, mask, height, width)
        said = inner(attention, cut(x, height, width, rows, columns), mask, height // rows, width // columns)
        return uncut(said, height, width, rows, columns)

    return process


def _merging(inner: Process, ratio: float) -> Process:
    """Return `inner` with `ratio` of the tokens merged into others."""

    def process(attention: Attention, x: Tensor, mask: Tensor | None, height: int, width: int) -> Tensor:
        found = matched(x, height, width, ratio)
        if found is None:
            return inner(attention, x, mask, height, width)
        return found.parted(inner(attention, found.merged(x), mask, height, width))

    return process
