"""An IP-Adapter in memory, and the ring of one unit around `predict`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import (
    ImageProjection,
    IPAdapterFullImageProjection,
    IPAdapterPlusImageProjection,
)
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from modules.controls import ip_layout as layout
from modules.controls.control import NEGATIVE, Guide, Predict, Ring, Seen, Sight
from modules.controls.unet.hooked import acting_rows, hooked, layer_weights, place_of
from modules.controls.unet.networks import unet_of
from modules.errors import BrokenFile
from modules.families.family import Conditioning, Entry, Header, Model
from modules.families.unet.making import made
from modules.families.unet.model import UnetModel
from modules.families.unet.unfilled import unfilled
from modules.families.unet.weights import DTYPES, Mapped, fill

CROSS = ".attn2"
PART = "image_proj"


class LoadedIpAdapter:
    """The projection of what an image encoder says to tokens, and two matrices for each cross-attention."""

    def __init__(self, name: str, sight: Sight, projection: nn.Module, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        self._name = name
        self._sight = sight
        self._projection = projection
        self._pairs = pairs
        weights = (*projection.parameters(), *(each for pair in pairs for each in pair))
        self.size = sum(each.nbytes for each in weights)

    def ring(self, model: Model, guide: Guide) -> Ring:
        """Return the ring of one unit. Negative prompts see what stands for no picture.

        Raises `BrokenFile` when the file has matrices for other cross-attentions than the U-Net has.
        """
        network = unet_of(model, self._name)
        attentions = self._attentions(network)
        tokens = self._tokens(guide.seen)
        weights = layer_weights(list(attentions), guide)
        told = [
            (attention, F.linear(tokens, to_key), F.linear(tokens, to_value), weight)
            for attention, (to_key, to_value), weight in zip(attentions.values(), self._pairs, weights, strict=True)
        ]

        def ring(predict: Predict) -> Predict:
            def controlled(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
                negative = conditioning.extra.get(NEGATIVE)
                rows = x.new_zeros(len(x)).long() if negative is None else (negative.flatten() != 0).long()
                acting = acting_rows(conditioning, guide)
                looking = [
                    _Looking(attention, keys[rows], values[rows], weight, _Place(acting, guide.mask, x.shape[2:]))
                    for attention, keys, values, weight in told
                ]
                with hooked(looking):
                    return predict(x, sigma, conditioning)

            return controlled

        return ring

    def _tokens(self, seen: Seen | None) -> Tensor:
        """Return (2, T, width of words): the tokens of the picture, and of none."""
        if seen is None:
            raise ValueError(f"{self._name} was not told what there is to see")
        tokens: Tensor = self._projection(seen.whole if self._sight.whole else seen.parts)
        return tokens

    def _attentions(self, model: UnetModel) -> dict[str, Attention]:
        """Return the cross-attentions by name, in the order of the file."""
        names = [name.removesuffix(".processor") for name in model.unet.attn_processors]
        found = {name: model.unet.get_submodule(name) for name in names if name.endswith(CROSS)}
        mine = [tuple(to_key.shape) for to_key, _ in self._pairs]
        theirs = [(each.to_k.out_features, each.to_k.in_features) for each in found.values()]
        if mine != theirs:
            raise BrokenFile("control_layers", file=self._name, found=len(mine), wanted=len(theirs))
        return found


@dataclass(frozen=True)
class _Place:
    """Which rows of a call and which part of the picture are acted on."""

    rows: Tensor | None
    mask: Tensor | None
    size: Sequence[int]

    def of(self, value: Tensor) -> Tensor:
        """Return `value` (B, L, C), 0 elsewhere."""
        if self.mask is not None:
            value = value * place_of(self.mask, value.shape[1], *self.size).to(value)
        return value if self.rows is None else value * self.rows.to(value)


class _Looking:
    """A cross-attention that looks at the picture too: softmax(Q K'^T / sqrt(d)) V' is added (Ye et al., eq. 5)."""

    def __init__(self, attention: Attention, keys: Tensor, values: Tensor, weight: float, place: _Place) -> None:
        self._attention = attention
        self._keys, self._values = self._heads(keys), self._heads(values)
        self._weight = weight
        self._place = place
        self._query: Tensor | None = None

    def attach(self) -> Iterator[RemovableHandle]:
        """Hear what is asked, and add to the answer before it leaves the attention."""
        yield self._attention.to_q.register_forward_hook(self._asked)
        yield self._attention.to_out[0].register_forward_pre_hook(self._answered)

    def _asked(self, module: nn.Module, given: tuple[Any, ...], query: Tensor) -> None:
        self._query = query

    def _answered(self, module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        query, self._query = self._query, None
        if query is None:
            return None
        found = F.scaled_dot_product_attention(
            self._heads(query), self._keys, self._values, scale=self._attention.scale
        )
        found = found.transpose(1, 2).flatten(2).to(query.dtype)
        return (given[0] + self._weight * self._place.of(found), *given[1:])

    def _heads(self, rows: Tensor) -> Tensor:
        """Return (B, heads, L, d) of (B, L, heads * d)."""
        return rows.reshape(*rows.shape[:2], self._attention.heads, -1).transpose(1, 2)


def load_ip_adapter(header: Header, model: Model) -> LoadedIpAdapter:
    """Load an IP-Adapter in the dtype and onto the device of `model`; raise `BrokenFile` when it is not whole."""
    entries, arguments = layout.projection(header)
    kind = _kind(arguments)
    own = Header(header.path, entries, {PART: arguments})
    with torch.inference_mode(False):
        with unfilled():
            network: nn.Module = made(own, PART, lambda config: kind(**config))
        fill(network, entries, model.device, model.dtype)
        read = _reader(header, model)
        pairs = [(read(each.key), read(each.value)) for each in layout.pairs(header)]
    return LoadedIpAdapter(header.path.name, layout.sight(header), network, pairs)


def _kind(arguments: dict[str, Any]) -> type[nn.Module]:
    if "num_image_text_embeds" in arguments:
        return ImageProjection  # type: ignore[no-any-return]
    return IPAdapterPlusImageProjection if "depth" in arguments else IPAdapterFullImageProjection  # type: ignore[no-any-return]


def _reader(header: Header, model: Model) -> Callable[[Entry], Tensor]:
    """Return what reads a matrix of the file."""
    maps = {file: Mapped(file) for file in {each.file for each in header.entries.values()}}

    def read(entry: Entry) -> Tensor:
        if entry.dtype not in DTYPES or not math.prod(entry.shape):
            raise BrokenFile("weights_dtype", file=header.path.name, tensor=layout.LAYERS, dtype=entry.dtype)
        return maps[entry.file].tensor(entry).to(model.device, model.dtype)

    return read
