"""Tiles: cut so that seams never meet, joined without a trace, shrunk as they come, smaller when there is no room."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from modules.errors import Cancelled, OutOfMemory
from modules.upscalers.tiles import SMALLEST, Pixels, bands, count, cuts, enlarge, gathered, passes
from tests.fake_upscalers import difference, scene


def doubled(pixels: Pixels) -> Pixels:
    return pixels.repeat(2, 0).repeat(2, 1)


def blurred(pixels: Pixels) -> Pixels:
    """Three times as large, each pixel the mean of what lies within two pixels: a network that sees little."""
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((image.width * 3, image.height * 3), Image.Resampling.BICUBIC))


@given(length=st.integers(1, 3000), tile=st.integers(48, 600), overlap=st.integers(0, 200))
def test_cuts_cover_everything_and_their_seams_lie_within_both_neighbours(length: int, tile: int, overlap: int) -> None:
    found = cuts(length, tile, overlap)
    assert found[0].start == 0 and found[-1].end == length
    assert all(each.end - each.start == min(tile, length) for each in found)
    assert all(each.before[1] <= each.after[0] for each in found)
    for left, right in pairwise(found):
        assert left.after == right.before
        assert right.start <= right.before[0] and left.after[1] <= left.end


@pytest.mark.parametrize(("tile", "overlap"), [(0, 16), (48, 12), (64, 16), (100, 16), (128, 0), (400, 64)])
def test_what_sees_one_pixel_at_a_time_leaves_no_seam_at_all(tile: int, overlap: int) -> None:
    source = np.asarray(scene(317, 203))
    assert np.array_equal(np.concatenate(list(bands(source, doubled, 2, tile, overlap))), doubled(source))


def test_what_sees_its_surroundings_leaves_no_seam_to_be_seen() -> None:
    source = np.asarray(scene(317, 203))
    whole = blurred(source).astype(int)
    tiled = np.concatenate(list(bands(source, blurred, 3, 64, 16))).astype(int)
    assert np.abs(tiled - whole).max() <= 1


@pytest.mark.parametrize("size", [(634, 406), (500, 320), (333, 77), (10, 6), (900, 700), (500, 900)])
def test_a_picture_shrunk_as_it_comes_is_the_one_shrunk_as_a_whole(size: tuple[int, int]) -> None:
    source = np.asarray(scene(317, 203))
    whole = Image.fromarray(doubled(source)).resize(size, Image.Resampling.LANCZOS)
    assert difference(gathered(bands(source, doubled, 2, 64, 16), (634, 406), size), whole) <= 1


def test_a_network_is_applied_until_it_is_enough_and_no_more_than_three_times() -> None:
    assert passes((10, 10), (20, 20), 2) == [(10, 10)]
    assert passes((10, 10), (21, 20), 2) == [(10, 10), (20, 20)]
    assert passes((10, 10), (200, 200), 2) == [(10, 10), (20, 20), (40, 40)]
    assert passes((10, 10), (5, 5), 4) == [(10, 10)]
    assert passes((10, 10), (40, 40), 1) == [(10, 10)]


def test_every_tile_of_every_pass_is_told_of() -> None:
    told: list[tuple[int, int]] = []
    enlarge(scene(100, 70), (390, 270), doubled, 2, lambda done, of: told.append((done, of)), tile=64)
    total = count((100, 70), 64, 16) + count((200, 140), 64, 16)
    assert told == [(done, total) for done in range(1, total + 1)]


def test_tiles_become_smaller_until_there_is_room() -> None:
    seen: list[int] = []
    smaller: list[int] = []

    def cramped(pixels: Pixels) -> Pixels:
        seen.append(max(pixels.shape))
        if max(pixels.shape) > 70:
            raise OutOfMemory("out_of_memory_upscaling", device="cpu", free="0", total="1")
        return doubled(pixels)

    image = scene(300, 200)
    made = enlarge(image, (600, 400), cramped, 2, lambda done, of: None, smaller=smaller.append)
    assert difference(made, Image.fromarray(doubled(np.asarray(image)))) == 0
    assert smaller == [150, 75, SMALLEST] and max(seen) == 300


def test_no_room_even_for_the_smallest_tile_is_an_error() -> None:
    def full(pixels: Pixels) -> Pixels:
        raise OutOfMemory("out_of_memory_upscaling", device="cpu", free="0", total="1")

    with pytest.raises(OutOfMemory):
        enlarge(scene(), (180, 122), full, 2, lambda done, of: None, tile=64)


def test_whoever_is_told_can_stop_it() -> None:
    calls: list[int] = []

    def stop(done: int, of: int) -> None:
        calls.append(done)
        if done == 3:
            raise Cancelled("cancelled")

    with pytest.raises(Cancelled):
        enlarge(scene(300, 200), (600, 400), doubled, 2, stop, tile=64)
    assert calls == [1, 2, 3]


def test_what_comes_at_once_is_no_higher_than_a_tile() -> None:
    source = np.asarray(scene(64, 640))
    assert max(len(band) for band in bands(source, doubled, 2, 64, 16)) <= 64 * 2
