"""People drawn in the colours of OpenPose, through controlnet-aux; hands are drawn here, for want of matplotlib."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from controlnet_aux.open_pose import PoseResult
from controlnet_aux.open_pose.body import Keypoint
from controlnet_aux.open_pose.util import draw_bodypose, draw_facepose

from modules.controls.preprocessor import Pixels

FINGERS, JOINTS = 5, 4  # from the wrist, which is the first point
BONE, KNUCKLE = 2, 4  # pixels: how wide a bone is, and the radius of a joint
BLUE = (0, 0, 255)


def drawn(
    poses: Iterable[PoseResult], rows: int, columns: int, body: bool = True, hand: bool = True, face: bool = True
) -> Pixels:
    """Return (rows, columns, 3) of people, and of those only `body`, `hand`s and `face`s as asked, on black.

    The joints are shares of width and height; one that is missing is None, or has no place within the picture.
    """
    canvas = np.zeros((rows, columns, 3), np.uint8)
    for pose in poses:
        if body:
            canvas = draw_bodypose(canvas, pose.body.keypoints)
        for joints in (pose.left_hand, pose.right_hand) if hand else ():
            _draw_hand(canvas, joints or ())
        if face:
            canvas = draw_facepose(canvas, [each for each in pose.face or () if each is not None])
    return canvas


def _draw_hand(canvas: Pixels, joints: Sequence[Keypoint | None]) -> None:
    """Draw the bones of each finger from the wrist on, each bone in a colour of its own, and the joints."""
    rows, columns = canvas.shape[:2]
    places = [(0, 0) if each is None else (int(each.x * columns), int(each.y * rows)) for each in joints]
    there = [across > 0 and down > 0 for across, down in places]
    bones = FINGERS * JOINTS
    for bone in range(bones) if len(places) > bones else ():
        start, end = 0 if bone % JOINTS == 0 else bone, bone + 1
        if there[start] and there[end]:
            red, green, blue = (part * 255 for part in colorsys.hsv_to_rgb(bone / bones, 1, 1))
            cv2.line(canvas, places[start], places[end], (red, green, blue), BONE)
    for place, seen in zip(places, there, strict=True):
        if seen:
            cv2.circle(canvas, place, KNUCKLE, BLUE, -1)
