"""What controls add inside a U-Net, and the names under which it travels in `Conditioning.extra`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from modules.families.family import Conditioning

DOWN, MIDDLE, WITHIN = "down_", "mid", "within_"


def adding(
    conditioning: Conditioning, down: Sequence[Tensor] = (), middle: Tensor | None = None, within: Sequence[Tensor] = ()
) -> Conditioning:
    """Return `conditioning` that adds to what a U-Net says at certain places, on top of what it adds already.

    `down` and `middle` are a ControlNet's: one for each skip connection, and one behind the middle. `within` are a
    T2I-Adapter's: one for each level, at the end of it. Each has as many rows as the conditioning, or one.
    """
    added = {f"{DOWN}{place}": each for place, each in enumerate(down)}
    added |= {f"{WITHIN}{place}": each for place, each in enumerate(within)}
    if middle is not None:
        added[MIDDLE] = middle
    before = conditioning.extra
    summed = {name: before[name] + each if name in before else each for name, each in added.items()}
    return replace(conditioning, extra={**before, **summed})


def adding_nothing(conditioning: Conditioning) -> Conditioning:
    """Return `conditioning` without what controls add."""
    kept = {name: each for name, each in conditioning.extra.items() if not name.startswith((DOWN, MIDDLE, WITHIN))}
    return replace(conditioning, extra=kept)


def added(extra: Mapping[str, Tensor]) -> dict[str, object]:
    """Return what is to be added as arguments of diffusers' `UNet2DConditionModel`: none where nothing is.

    The list within is a new one each time: the network takes its items away.
    """
    found: dict[str, object] = {}
    if MIDDLE in extra:
        found["mid_block_additional_residual"] = extra[MIDDLE]
        found["down_block_additional_residuals"] = _listed(extra, DOWN)
    if within := _listed(extra, WITHIN):
        found["down_intrablock_additional_residuals"] = within
    return found


def _listed(extra: Mapping[str, Tensor], prefix: str) -> list[Tensor]:
    count = sum(name.startswith(prefix) for name in extra)
    return [extra[f"{prefix}{place}"] for place in range(count)]
