"""Pictures whose opposite borders fit together: beyond a border lies what lies at the opposite one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor, nn
from torch.nn import functional as F

MARGIN = 8  # latent cells: further than an autoencoder looks to any effect


@contextmanager
def wrapping(network: nn.Module) -> Iterator[None]:
    """Let the convolutions of `network` look around until the `with` is left.

    Only how they treat a border is changed, no weight: afterwards they are what they were, bit for bit.
    """
    before = [(each, each.padding_mode) for each in network.modules() if isinstance(each, nn.Conv2d)]
    try:
        for layer, _ in before:
            if layer.padding != (0, 0):
                layer.padding_mode = "circular"
        yield
    finally:
        for layer, mode in before:
            layer.padding_mode = mode


def wraps(network: nn.Module) -> bool:
    """Return whether the convolutions of `network` look around."""
    return any(isinstance(each, nn.Conv2d) and each.padding_mode == "circular" for each in network.modules())


def alike(network: nn.Module, other: nn.Module) -> AbstractContextManager[None]:
    """Let `network` look around while `other` does."""
    return wrapping(network) if wraps(other) else nullcontext()


def surrounded(work: Callable[[Tensor], Tensor], x: Tensor, margin: int) -> Tensor:
    """Return what `work` makes of `x` (B, C, h, w) with `margin` of its opposite borders around it, cut to `x` alone.

    So an autoencoder works on what it was trained on: some lose the colours when their convolutions look around. And
    it may work in pieces, which do not know what lies at the opposite border of the whole.
    """
    margin = min(margin, *x.shape[2:])
    made = work(F.pad(x, [margin] * 4, mode="circular"))
    high, wide = (made.shape[side] * margin // (x.shape[side] + 2 * margin) for side in (2, 3))
    return made[..., high : made.shape[2] - high, wide : made.shape[3] - wide]
