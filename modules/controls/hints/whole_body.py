"""The joints of one person with hands and face, by DWPose (Yang et al. 2023), put into the order of OpenPose.

The network (RTMPose, Jiang et al. 2023) sees the person upright in a frame and says for each of 133 points (COCO
Whole-Body, Jin et al. 2020) in which half pixel across, and in which down, it is (SimCC, Li et al. 2022).
"""

from __future__ import annotations

import cv2
import numpy as np
from controlnet_aux.open_pose import PoseResult
from controlnet_aux.open_pose.body import BodyResult, Keypoint

from modules.controls.hints.people import Box
from modules.controls.preprocessor import Pixels
from modules.images.onnx import Floats, Onnx

WIDTH, HEIGHT = 288, 384  # of the frame
AROUND = 1.25  # times the size of the person
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of the pictures it has learnt from, in RGB
PARTS = 2  # of a pixel
POINTS = 133
SURE = 0.3

# The places of OpenPose's points among these: nose, neck, right arm, left arm, right leg, left leg, eyes, ears.
SHOULDERS, NECK = (5, 6), POINTS  # there is no neck: it is put in the middle of the shoulders, after all others
BODY = (0, NECK, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
FACE = (*range(23, 91), 2, 1)  # 68 points, and the eyes for OpenPose's last two
LEFT_HAND, RIGHT_HAND = tuple(range(91, 112)), tuple(range(112, 133))


def pose_in(picture: Pixels, box: Box, network: Onnx) -> PoseResult:
    """Return the joints of the person in the `box` of `picture` (H, W, 3), as shares of its width and height."""
    points, scores = _found(picture, box, network)
    shoulders = list(SHOULDERS)
    points = np.concatenate([points, points[shoulders].mean(0, keepdims=True)])
    scores = np.append(scores, scores[shoulders].min())
    shares = points / (picture.shape[1], picture.shape[0])
    seen = scores > SURE

    def places(which: tuple[int, ...]) -> list[Keypoint | None]:
        return [Keypoint(*map(float, shares[at]), float(scores[at]), at) if seen[at] else None for at in which]

    body = places(BODY)
    parts = sum(each is not None for each in body)
    return PoseResult(
        BodyResult(body, float(scores[list(BODY)][seen[list(BODY)]].sum()), parts),
        places(LEFT_HAND),
        places(RIGHT_HAND),
        places(FACE),
    )


def _found(picture: Pixels, box: Box, network: Onnx) -> tuple[Floats, Floats]:
    """Return where the points are, (133, 2) in pixels of the picture, and how sure each is."""
    left, top, right, bottom = box
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    scale = min(WIDTH / (right - left), HEIGHT / (bottom - top)) / AROUND
    moved = np.array([WIDTH, HEIGHT]) / 2 - scale * middle
    matrix = np.array([[scale, 0, moved[0]], [0, scale, moved[1]]])
    frame = cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR).astype(np.float32)
    seen = ((frame - MEAN) / DEVIATION).transpose(2, 0, 1)[None]
    across, down = network(seen.astype(np.float32), (1, POINTS, WIDTH * PARTS), (1, POINTS, HEIGHT * PARTS))
    places = np.stack([each[0].argmax(-1) for each in (across, down)], -1) / PARTS
    scores = np.minimum(across[0].max(-1), down[0].max(-1))
    return ((places - moved) / scale).astype(np.float32), scores.astype(np.float32)
