"""3×3 convolutions with fewer multiplications, for CPUs in float32: Winograd's F(4×4, 3×3).

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), section 4: a tile of 4×4 answers takes 36
products instead of 144, and as matrix products they run at the processor's best rate. The answers differ from the
direct method's by rounding: about 1e-5 of the largest. oneDNN has this method for AVX-512 only and torch never asks
for it. Half precision would lose too much to it and is left alone.

Where a picture has too few pixels for it, the direct method is asked with the channels apart: with them side by side
oneDNN would bring the whole kernel into another order first, which then takes up to half as long as the products.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TILE = 4  # answers along a side of a tile, which reads TILE + 2
FEWEST = 128  # channels; below, moving the tiles about costs more than the products saved
SCRATCH = 2**21  # numbers of one intermediate at a time: they stay in the cache, and memory does not grow

_INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_ANSWER = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


class WinogradConv2d(nn.Conv2d):
    """A 3×3 convolution of stride 1 that keeps the picture's size, by Winograd or, of few pixels, the direct one.

    The kernel is transformed at each call: nothing is kept, so weights may be patched at any time.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return (B, O, h, w) of (B, I, h, w). How it is computed depends on no other picture of the batch."""
        exact = input.dtype == torch.float32 and input.device.type == "cpu" and not torch.is_grad_enabled()
        if not exact or min(self.in_channels, self.out_channels) < FEWEST:
            return super().forward(input)
        # Transforming the kernel costs as much as so many pixels' worth of products as there are channels, about.
        if 4 * input.shape[-2] * input.shape[-1] < 3 * max(self.in_channels, self.out_channels):
            return super().forward(input.contiguous()).contiguous(memory_format=torch.channels_last)
        if self.padding_mode == "circular":
            wide = F.pad(input, (1, 1, 1, 1), mode="circular")
            return _winograd(wide, self.weight, self.bias)[..., 1:-1, 1:-1]
        return _winograd(input, self.weight, self.bias)


def quicken(module: nn.Module) -> None:
    """Replace the convolutions of `module` (on the meta device, before it is filled) that could go by Winograd."""
    for owner in list(module.modules()):
        for name, child in owner.named_children():
            if type(child) is nn.Conv2d and _suits(child):
                bias = child.bias is not None
                setattr(
                    owner,
                    name,
                    WinogradConv2d(child.in_channels, child.out_channels, 3, 1, 1, bias=bias, device="meta"),
                )


def _suits(layer: nn.Conv2d) -> bool:
    plain = layer.groups == 1 and layer.padding_mode == "zeros" and layer.dilation == (1, 1)
    return plain and layer.kernel_size == (3, 3) and layer.stride == (1, 1) and layer.padding == (1, 1)


def _winograd(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    to_input, to_kernel, to_answer = _matrices()
    batch, inner, height, width = x.shape
    outer = weight.shape[0]
    kernel = (to_kernel @ weight.permute(0, 2, 3, 1).reshape(outer, 9, inner)).permute(1, 2, 0)  # (36, I, O)
    down, across = -(-height // TILE), -(-width // TILE)  # tiles
    answer = x.new_empty((batch, down * TILE, across * TILE, outer))
    rows = max(1, SCRATCH // (36 * across * max(inner, outer)))
    for picture, answered in zip(x.permute(0, 2, 3, 1), answer, strict=True):
        for first in range(0, down, rows):
            count = min(rows, down - first)
            tiles = _tiles(picture, first, count, across)
            products = torch.bmm((to_input @ tiles).view(36, count * across, inner), kernel)
            said = (to_answer @ products.view(36, -1)).view(TILE, TILE, count, across, outer)
            if bias is not None:
                said += bias
            place = answered[first * TILE : (first + count) * TILE].view(count, TILE, across, TILE, outer)
            place.copy_(said.permute(2, 0, 3, 1, 4))
    return answer[:, :height, :width].permute(0, 3, 1, 2)


def _tiles(picture: Tensor, first: int, count: int, across: int) -> Tensor:
    """Return (36, count * across * I): what the tiles of `count` rows read of (h, w, I), and 0 outside of it."""
    height, width, inner = picture.shape
    top, bottom = first * TILE - 1, (first + count) * TILE + 1
    part = picture[max(0, top) : min(height, bottom)]
    part = F.pad(part, (0, 0, 1, across * TILE + 1 - width, max(0, -top), max(0, bottom - height)))
    row, column, _ = part.stride()
    side = TILE + 2
    return part.as_strided((side, side, count, across, inner), (row, column, TILE * row, TILE * column, 1)).reshape(
        36, -1
    )


def _matrices() -> tuple[Tensor, Tensor, Tensor]:
    """Return the transforms of input (36×36), kernel (36×9) and answer (16×36): both directions in one matrix."""
    each = (torch.tensor(matrix, dtype=torch.float64) for matrix in (_INPUT, _KERNEL, _ANSWER))
    to_input, to_kernel, to_answer = (torch.kron(matrix, matrix).float() for matrix in each)
    return to_input, to_kernel, to_answer
