"""The three networks of OpenPose, made without controlnet-aux's own way to read files."""

from __future__ import annotations

from controlnet_aux.open_pose.body import Body
from controlnet_aux.open_pose.face import Face, FaceNet
from controlnet_aux.open_pose.face import params as face_params
from controlnet_aux.open_pose.hand import Hand
from controlnet_aux.open_pose.model import bodypose_model, handpose_model

from modules.controls.hints.networks import network_of
from modules.controls.preprocessor import Place


class _Body(Body):  # type: ignore[misc]
    def __init__(self, place: Place, file: str) -> None:
        self.model = network_of(bodypose_model, place, file, _short)


class _Hand(Hand):  # type: ignore[misc]
    def __init__(self, place: Place, file: str) -> None:
        self.model = network_of(handpose_model, place, file, _short)


class _Face(Face):  # type: ignore[misc]
    def __init__(self, place: Place, file: str) -> None:
        self.inference_size = face_params["inference_img_size"]
        self.sigma = face_params["gaussian_sigma"]
        self.threshold = face_params["heatmap_peak_thresh"]
        self.model = network_of(FaceNet, place, file)


def body_of(place: Place, file: str) -> Body:
    """Return what finds the joints of people."""
    return _Body(place, file)


def hand_of(place: Place, file: str) -> Hand:
    """Return what finds the joints of a hand."""
    return _Hand(place, file)


def face_of(place: Place, file: str) -> Face:
    """Return what finds the points of a face."""
    return _Face(place, file)


def _short(key: str) -> str:
    """Return a key without the name of the stage it is in, as the files have it."""
    return key.partition(".")[2]
