"""DWPose's two networks as files that answer as theirs do: the bones lie where the joints are."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from controlnet_aux.open_pose import PoseResult
from controlnet_aux.open_pose.body import BodyResult, Keypoint

from modules.controls.hints.bones import drawn
from modules.controls.hints.people import people_in
from modules.controls.preprocessor import Pixels
from modules.controls.preprocessors.dwpose import JOINTS, PEOPLE, load
from modules.errors import BrokenFile
from modules.images.onnx import Onnx
from modules.model_manager.annotators import Annotators
from tests.fake_onnx import put_joints, put_people

# In a picture of 160 x 120: the square that finds people is four times as large.
PERSON = (30.0, 20.0, 90.0, 100.0)
FRAME_SCALE = 384 / (80 * 1.25)
BODY = {0: (60, 30), 5: (75, 40), 6: (45, 40), 8: (40, 55), 10: (35, 70), 11: (68, 65), 12: (52, 65), 14: (52, 80)}


@pytest.fixture
def room() -> Pixels:
    """A dark room with a lamp."""
    picture = np.full((120, 160, 3), 20, np.uint8)
    picture[2:6, 2:6] = 255
    return picture


def in_frame(places: Mapping[int, tuple[float, float]]) -> dict[int, tuple[float, float]]:
    """Where the network of joints sees what lies at `places` of the picture."""
    return {
        point: (144 + (across - 60) * FRAME_SCALE, 192 + (down - 60) * FRAME_SCALE)
        for point, (across, down) in places.items()
    }


def of_square(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = (4 * each for each in box)
    return left, top, right, bottom


def hint(folder: Path, picture: Pixels) -> Pixels:
    run = load(Annotators(folder, torch.device("cpu")))
    first, again = run(picture.copy(), {}), run(picture.copy(), {})
    assert np.array_equal(first, again) and first.shape == picture.shape and first.dtype == np.uint8
    return first


def test_the_bones_lie_where_the_joints_are(tmp_path: Path, room: Pixels) -> None:
    put_people(tmp_path / "openpose" / PEOPLE, of_square(PERSON))
    put_joints(tmp_path / "openpose" / JOINTS, in_frame({**BODY, 91: (84, 92), 92: (94, 82), 30: (60, 106)}))
    found = hint(tmp_path, room)
    assert found[30, 60].tolist() == [255, 0, 0], "the nose"
    assert found[40, 60].tolist() == [255, 85, 0], "the neck, between the shoulders"
    assert found[40, 52].tolist() == [153, 0, 0], "from it to the right shoulder"
    assert found[40, 68].tolist() == [153, 51, 0], "and to the left one"
    assert found[47, 42].tolist() == [153, 102, 0], "the right upper arm"
    assert found[55, 40].tolist() == [255, 255, 0], "the right elbow"
    assert found[92, 84].tolist() == found[82, 94].tolist() == [0, 0, 255], "a wrist and a thumb"
    assert found[87, 89].tolist() == [255, 0, 0], "the bone between them"
    assert found[106, 60].tolist() == [255, 255, 255], "a point of the face"
    assert not found[:, 105:].any() and not found[:15].any(), "and nothing elsewhere"


def test_each_person_is_looked_at_alone(tmp_path: Path) -> None:
    picture = np.zeros((120, 160, 3), np.uint8)
    lamps = (40, 30), (120, 80)
    for across, down in lamps:
        picture[down - 1 : down + 2, across - 1 : across + 2] = 255
    put_people(tmp_path / PEOPLE, *(of_square((x - 22.0, y - 25.0, x + 25.0, y + 22.0)) for x, y in lamps))
    put_joints(tmp_path / JOINTS, {}, sight=1.0)
    drawing = np.any(hint(tmp_path, picture), axis=-1, keepdims=True)[:, :, 0]
    near = np.zeros_like(drawing)
    for across, down in lamps:
        assert drawing[down, across]
        near[down - 7 : down + 8, across - 7 : across + 8] = True
    assert not drawing[~near].any()


def test_where_nobody_is_the_hint_is_black(tmp_path: Path, room: Pixels) -> None:
    put_people(tmp_path / PEOPLE, of_square(PERSON))
    put_joints(tmp_path / JOINTS, in_frame(BODY))
    assert hint(tmp_path, room).any()
    assert not hint(tmp_path, np.full_like(room, 20)).any(), "nobody was found"
    put_joints(tmp_path / JOINTS, {})
    assert not hint(tmp_path, room).any(), "somebody, but no joint that is sure"


def test_a_person_who_is_found_twice_is_one(tmp_path: Path, room: Pixels) -> None:
    boxes = PERSON, (33.0, 24.0, 93.0, 104.0), (100.0, 20.0, 150.0, 110.0)
    network = Onnx(put_people(tmp_path / PEOPLE, *map(of_square, boxes)))
    found = sorted(people_in(room, network))
    assert len(found) == 2
    assert np.allclose(found[1], boxes[2], atol=0.01)


def test_files_that_are_something_else_are_refused_with_a_sentence(tmp_path: Path, room: Pixels) -> None:
    put_joints(tmp_path / JOINTS, {})
    (tmp_path / PEOPLE).write_bytes(b"<!doctype html><title>Sign in</title>" * 50)
    with pytest.raises(BrokenFile, match=r"yolox_l\.onnx is not a complete ONNX file"):
        hint(tmp_path, room)
    (tmp_path / PEOPLE).write_bytes(b"")
    with pytest.raises(BrokenFile, match=r"yolox_l\.onnx is not a complete ONNX file"):
        hint(tmp_path, room)
    shutil.copy(tmp_path / JOINTS, tmp_path / PEOPLE)
    with pytest.raises(BrokenFile, match=r"The network in yolox_l\.onnx"):
        hint(tmp_path, room)


def test_hands_are_drawn_finger_by_finger() -> None:
    nobody = BodyResult([None] * 18, 0.0, 0)
    joints: list[Keypoint | None] = [None] * 21
    for place, where in {0: (0.5, 0.9), 5: (0.2, 0.5), 6: (0.2, 0.1), 9: (0.8, 0.5)}.items():
        joints[place] = Keypoint(*where)
    hand = drawn([PoseResult(nobody, joints, None, None)], 100, 100)
    assert hand[90, 50].tolist() == hand[10, 20].tolist() == [0, 0, 255]
    bones = hand[70, 35], hand[30, 20], hand[70, 65]
    assert all(each.any() for each in bones) and len({tuple(each.tolist()) for each in bones}) == 3
    assert not hand[30, 80].any(), "a joint that is missing has no bone"
    assert not drawn([PoseResult(nobody, joints, None, None)], 100, 100, hand=False).any()
