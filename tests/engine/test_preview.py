from __future__ import annotations

import base64
import io

import pytest
import torch
from PIL import Image

from modules.engine.preview import SIDE, preview
from modules.families.family import LatentFormat

LIKE = LatentFormat(4, 8, 1.0, 0.0, ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)), (0.0, 0.0, -1.0))


def shown(latent: torch.Tensor) -> Image.Image:
    image = Image.open(io.BytesIO(base64.b64decode(preview(latent, LIKE))))
    assert image.format == "WEBP"
    return image.convert("RGB")


@pytest.mark.parametrize(
    ("height", "width", "size"), [(16, 16, (128, 128)), (64, 64, (192, 192)), (64, 32, (96, 192)), (256, 8, (6, 192))]
)
def test_it_is_small_and_keeps_the_shape(height: int, width: int, size: tuple[int, int]) -> None:
    image = shown(torch.zeros(4, height, width))
    assert image.size == size
    assert max(image.size) <= SIDE


def test_colours_are_the_linear_map_of_the_latent() -> None:
    latent = torch.zeros(4, 16, 16)
    latent[0, :, :8], latent[0, :, 8:] = 1.0, -1.0  # red on the left; green is half everywhere, blue 0 by the bias
    image = shown(latent)
    for place, wanted in (((20, 60), (255, 127, 0)), ((108, 60), (0, 127, 0))):
        pixel = image.getpixel(place)
        assert isinstance(pixel, tuple)
        assert all(abs(a - b) < 25 for a, b in zip(pixel, wanted, strict=True)), pixel


def test_not_a_number_is_shown_as_something() -> None:
    assert shown(torch.full((4, 8, 8), float("nan"))).size == (64, 64)
    assert shown(torch.full((4, 8, 8), float("inf")) * torch.tensor([1.0, -1, 1, 1])[:, None, None]).size == (64, 64)
