"""Faces are found where there are any, and made anew there and nowhere else."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

from modules.upscalers.networks.faces import SIDE, Box, find_faces, restored
from modules.upscalers.tiles import Pixels


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    """A woman's face, its middle at 224, 110."""
    return Image.fromarray(data.astronaut())


def inverted(face: Pixels) -> Pixels:
    return 255 - face


def test_a_face_is_found_where_it_is(portrait: Image.Image) -> None:
    (face, *others) = find_faces(portrait)
    assert others == []
    assert abs(face.left + face.side / 2 - 220) < 20 and abs(face.top + face.side / 2 - 118) < 25
    assert 90 < face.side < 180


def test_where_there_is_none_none_is_found() -> None:
    assert find_faces(Image.fromarray(data.coffee()).resize((300, 200))) == []
    assert find_faces(Image.new("RGB", (9, 9))) == []


def test_only_the_face_changes_and_only_as_far_as_it_shows(portrait: Image.Image) -> None:
    box = Box(150, 40, 140)
    told: list[int] = []
    before = np.asarray(portrait, int)
    whole = np.asarray(restored(portrait, [box], inverted, 1.0, lambda: told.append(1)), int)
    half = np.asarray(restored(portrait, [box], inverted, 0.5), int)
    outside = np.ones(before.shape[:2], bool)
    outside[40:180, 150:290] = False
    assert np.array_equal(whole[outside], before[outside]) and told == [1]
    middle = slice(90, 130), slice(200, 240)
    assert np.abs(whole[middle] - (255 - before[middle])).mean() < 6
    assert np.abs(half[middle] - (whole[middle] + before[middle]) / 2).max() <= 2


def test_a_face_at_the_edge_is_whole_for_the_network(portrait: Image.Image) -> None:
    seen: list[tuple[int, ...]] = []

    def look(face: Pixels) -> Pixels:
        seen.append(face.shape)
        return face

    image = portrait.convert("RGBA")
    image.putalpha(77)
    made = restored(image, [Box(-30, -20, 100), Box(470, 480, 90)], look, 1.0)
    assert seen == [(SIDE, SIDE, 3)] * 2
    assert made.mode == "RGBA" and made.size == image.size and made.getchannel("A").getextrema() == (77, 77)
