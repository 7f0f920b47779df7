"""Silhouettes: where the things of a flat picture are, whatever their colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from modules.starter.scenes import Plane, Scene, bare, covered

Mask = NDArray[np.bool_]

_RIM: Final = np.s_[:8]
_APART: Final = 0.16  # distance in RGB (0..1) from anything the stage could be
_SPECK: Final = 24  # pixels; what is smaller is no thing


def known(scene: Scene) -> Mask:
    """Where the things of a flat scene are in its drawing, holes filled; (128, 128)."""
    return filled(covered(scene))


def stages(scene: Scene) -> list[Plane]:
    """What a pixel may look like where there is no thing: wall or floor, more or less lit, more or less in a shadow."""
    return [part * light for shadow in (0, 0.5, 1) for part in bare(scene, shadow) for light in (0.92, 0.96, 1, 1.04)]


def seen(picture: Tensor, empty: Sequence[Plane]) -> Mask:
    """Where a picture (bytes, (3, 128, 128)) differs from every empty stage it is given, holes filled."""
    found = picture.movedim(0, -1).numpy().astype(np.float32) / 255
    # A stage that came out in another tone all over is a stage still; its upper rim shows the tone.
    tone = min((np.median((found - stage)[_RIM], (0, 1)) for stage in empty), key=np.linalg.norm)
    apart = np.min([np.linalg.norm(found - stage - tone, axis=-1) for stage in empty], 0) > _APART
    return filled(_without_specks(apart))


def filled(mask: Mask) -> Mask:
    """A mask with its holes filled: what the outside cannot reach."""
    wide = np.pad(~mask, 1, constant_values=True)
    _, parts = cv2.connectedComponents(wide.astype(np.uint8), connectivity=4)
    whole: Mask = (parts != parts[0, 0])[1:-1, 1:-1]
    return whole


def overlap(a: Mask, b: Mask) -> float:
    """Intersection over union, 0..1; two empty masks are alike."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def _without_specks(mask: Mask) -> Mask:
    count, parts, figures, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    kept = [part for part in range(1, count) if figures[part, cv2.CC_STAT_AREA] >= _SPECK]
    return np.isin(parts, kept)
