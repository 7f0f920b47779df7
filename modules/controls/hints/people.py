"""Where people are in a picture: YOLOX (Ge et al. 2021) finds them, as DWPose uses it."""

from __future__ import annotations

import cv2
import numpy as np

from modules.controls.preprocessor import Pixels
from modules.images.onnx import Floats, Onnx

SIDE = 640  # pixels of the square that the network sees
GREY = 114  # what is around the picture there
STRIDES = (8, 16, 32)  # pixels between the places that its answers are about
ANSWERS = sum((SIDE // stride) ** 2 for stride in STRIDES)
CLASSES = 80  # of COCO; people are the first
SURE = 0.3
ALIKE = 0.45  # boxes that have this share of their area in common are one person's
WIDEST = 12.0  # of a logarithm of strides, either way: more than any picture has

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels of the picture."""


def people_in(picture: Pixels, network: Onnx) -> list[Box]:
    """Return where people are in `picture` (H, W, 3), the surest first."""
    rows, columns = picture.shape[:2]
    scale = min(SIDE / rows, SIDE / columns)
    small = cv2.resize(picture, (max(1, int(columns * scale)), max(1, int(rows * scale))))
    canvas = np.full((SIDE, SIDE, 3), GREY, np.uint8)
    canvas[: small.shape[0], : small.shape[1]] = small[:, :, ::-1]  # it has learnt from pictures in BGR
    seen = canvas.transpose(2, 0, 1)[None].astype(np.float32)
    (answers,) = network(seen, (1, ANSWERS, 5 + CLASSES))
    return [_of(each, scale) for each in _told_apart(*_likely(answers[0]))]


def _likely(answers: Floats) -> tuple[Floats, Floats]:
    """Return the middles and sizes of what is likely a person, (N, 4) in pixels of the square, and how likely each is.

    An answer is about a cell of a grid: middle from its corner, logarithms of width and height, whether anything is
    there, and of what class.
    """
    cells, strides = [], []
    for stride in STRIDES:
        across = np.arange(SIDE // stride)
        cells.append(np.stack(np.meshgrid(across, across), -1).reshape(-1, 2))
        strides.append(np.full((len(across) ** 2, 1), stride))
    grid, wide = np.concatenate(cells), np.concatenate(strides)
    scores = answers[:, 4] * answers[:, 5]
    kept = scores > SURE
    middles = (answers[kept, :2] + grid[kept]) * wide[kept]
    sizes = np.exp(np.clip(answers[kept, 2:4], -WIDEST, WIDEST)) * wide[kept]
    return np.concatenate([middles, sizes], 1).astype(np.float32), scores[kept]


def _told_apart(found: Floats, scores: Floats) -> Floats:
    """Return each person once, the surest first."""
    corners = np.concatenate([found[:, :2] - found[:, 2:] / 2, found[:, 2:]], 1)
    kept = cv2.dnn.NMSBoxes(corners.tolist(), scores.tolist(), SURE, ALIKE) if len(found) else []
    return found[list(kept)]


def _of(found: Floats, scale: float) -> Box:
    across, down, width, height = (float(each) / scale for each in found)
    return across - width / 2, down - height / 2, across + width / 2, down + height / 2
