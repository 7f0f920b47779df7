"""How people stand, with their hands and faces (DWPose, Yang et al. 2023), from two ONNX files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modules.controls.preprocessor import Pixels, Place, Preprocessor, Run
from modules.hooks import hookimpl

PEOPLE, JOINTS = "yolox_l.onnx", "dw-ll_ucoco_384.onnx"
REPOSITORY = "yzd-v/DWPose"  # where the files are published


def load(place: Place) -> Run:
    """Return what draws the joints of people; black where there is nobody."""
    from modules.controls.hints.bones import drawn
    from modules.controls.hints.people import people_in
    from modules.controls.hints.whole_body import pose_in
    from modules.images.onnx import Onnx

    people, joints = (Onnx(place.file(each, REPOSITORY)) for each in (PEOPLE, JOINTS))

    def poses(picture: Pixels, options: Mapping[str, float]) -> Pixels:
        found = [pose_in(picture, box, joints) for box in people_in(picture, people)]
        return drawn(found, *picture.shape[:2])

    return poses


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer it."""
    return [Preprocessor("dw_openpose_full", load, tags=("OpenPose",), files=(PEOPLE, JOINTS))]
