"""How people stand (OpenPose, Cao et al. 2019), with their hands and faces, through controlnet-aux."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from modules.controls.preprocessor import Pixels, Place, Preprocessor, Run
from modules.hooks import hookimpl

BODY, HAND, FACE = "body_pose_model.pth", "hand_pose_model.pth", "facenet.pth"


def load(place: Place, body: bool = True, hand: bool = False, face: bool = False) -> Run:
    """Return what draws the joints of people, and of those only `body`, `hand`s and `face`s as asked."""
    from controlnet_aux.open_pose import OpenposeDetector

    from modules.controls.hints.bones import drawn
    from modules.controls.hints.networks import through
    from modules.controls.hints.poses import body_of, face_of, hand_of

    people = body_of(place, BODY)
    hands, faces = hand_of(place, HAND) if hand else None, face_of(place, FACE) if face else None
    detector = OpenposeDetector(people, hands, faces)

    def drawing(picture: Pixels, **about: object) -> Pixels:
        return drawn(detector.detect_poses(picture, hand, face), picture.shape[0], picture.shape[1], body, hand, face)

    def poses(picture: Pixels, options: Mapping[str, float]) -> Pixels:
        return through(drawing, picture)

    return poses


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer the five."""
    tags = ("OpenPose",)
    return [
        Preprocessor("openpose", load, tags=tags, files=(BODY,)),
        Preprocessor("openpose_hand", partial(load, hand=True), tags=tags, files=(BODY, HAND)),
        Preprocessor("openpose_face", partial(load, face=True), tags=tags, files=(BODY, FACE)),
        Preprocessor("openpose_faceonly", partial(load, body=False, face=True), tags=tags, files=(BODY, FACE)),
        Preprocessor("openpose_full", partial(load, hand=True, face=True), tags=tags, files=(BODY, HAND, FACE)),
    ]
