"""The size that a second pass makes of a picture."""

import pytest

from modules.errors import BadRequest
from modules.images.larger import Size, larger_size
from modules.request import Hires


@pytest.mark.parametrize(
    ("asked", "size", "whole", "left"),
    [
        ({"scale": 2}, (512, 768), (1024, 1536), (1024, 1536)),
        ({"scale": 1.55}, (512, 512), (792, 792), (792, 792)),
        ({"width": 1024}, (512, 768), (1024, 1536), (1024, 1536)),
        ({"height": 1152}, (512, 768), (768, 1152), (768, 1152)),
        ({"width": 1024, "height": 1024}, (512, 768), (1024, 1536), (1024, 1024)),
        ({"width": 1024, "height": 1024}, (768, 512), (1536, 1024), (1024, 1024)),
        ({"width": 1024, "height": 1024}, (512, 512), (1024, 1024), (1024, 1024)),
    ],
)
def test_a_picture_is_scaled_by_the_factor_or_covers_what_is_given(
    asked: dict[str, float], size: Size, whole: Size, left: Size
) -> None:
    assert larger_size(Hires.model_validate(asked), *size) == (whole, left)


def test_what_would_be_too_large_is_refused_with_its_size() -> None:
    with pytest.raises(BadRequest, match=r"8192×4096 pixels.*at most 4096"):
        larger_size(Hires.model_validate({"scale": 4}), 2048, 1024)
