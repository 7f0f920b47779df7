"""Tiles cover a picture, overlap as much as they should, and their shares make one."""

from itertools import pairwise

import numpy as np
import pytest

from modules.errors import BadRequest
from modules.images.tiles import spans, tiled_size


@pytest.mark.parametrize(
    ("length", "tile", "overlap"), [(256, 128, 32), (100, 64, 8), (64, 64, 16), (30, 64, 8), (513, 96, 48), (65, 64, 0)]
)
def test_spans_cover_everything_and_their_shares_are_one(length: int, tile: int, overlap: int) -> None:
    found = spans(length, tile, overlap)
    total = np.zeros(length)
    for span in found:
        assert span.end - span.start == min(tile, length) == len(span.share) and span.share.min() > 0
        total[span.start : span.end] += span.share
    assert np.allclose(total, 1, atol=1e-6)
    assert (found[0].start, found[-1].end) == (0, length)
    shared = [left.end - right.start for left, right in pairwise(found)]
    assert all(each >= min(overlap, tile // 2) for each in shared)


def test_a_tile_fades_into_its_neighbour() -> None:
    left, right = spans(112, 64, 16)
    assert np.all(left.share[:48] == 1) and np.all(np.diff(left.share[47:]) < 0)
    assert np.allclose(left.share[48:], right.share[:16][::-1], atol=1e-6)


def test_a_picture_has_its_shape_in_steps_of_eight_and_no_more_than_allowed() -> None:
    assert tiled_size((100, 60), 2) == (200, 120)
    assert tiled_size((101, 61), 1.5) == (152, 88)
    with pytest.raises(BadRequest, match=r"8000×4000 pixels.*at most 4096"):
        tiled_size((2000, 1000), 4)
