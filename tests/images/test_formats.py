"""Every format says what a PNG says, as far as it is to, and what it cannot hold becomes a PNG."""

import io
from typing import Any

import pytest
from PIL import Image

from modules.images import infotext, metadata
from modules.images.formats import SUFFIXES, encoded, mime
from modules.result import Picture
from modules.saving import Saving
from tests.images.test_infotext import changed

FORMATS = ["png", "jpg", "webp", "avif"]
PROMPTS = ["a cat", "고양이 🐈 — a\nsecond line", "</easel:recipe> & <b>", "\x7f\x85\ufffe", '\\u0041 "quoted"']


def opened(picture: Picture, form: str, **values: Any) -> tuple[Image.Image, str]:
    data, ending = encoded(picture, form, Saving(**values))
    return Image.open(io.BytesIO(data)), ending


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("prompt", PROMPTS)
def test_each_format_gives_text_and_recipe_back(form: str, prompt: str) -> None:
    recipe = changed(prompt=prompt, negative_prompt=prompt, extras={"wild": {"on": True}}, job="abc", index=3)
    image, ending = opened(Picture(Image.new("RGB", (16, 16), "red"), recipe), form)
    assert ending == f".{form}" and ending in SUFFIXES and mime(ending) == Image.MIME[str(image.format)]
    assert metadata.extract(image) == (infotext.write(recipe), recipe)


@pytest.mark.parametrize("form", FORMATS)
def test_a_picture_says_as_much_as_it_is_to(form: str) -> None:
    recipe = changed(prompt="a secret cat")
    picture = Picture(Image.new("RGB", (16, 16)), recipe)
    assert metadata.extract(opened(picture, form, enable_pnginfo="minimal")[0]) == (infotext.write(recipe), None)
    assert metadata.extract(opened(picture, form, enable_pnginfo="off")[0]) == ("", None)
    assert b"secret" not in bytes(encoded(picture, form, Saving(enable_pnginfo=False))[0])  # type: ignore[arg-type]


def test_a_jpeg_without_room_for_what_it_says_is_a_png() -> None:
    recipe = changed(prompt="가" * 10_000, negative_prompt="&" * 10_000)
    image, ending = opened(Picture(Image.new("RGB", (16, 16)), recipe), "jpg")
    assert ending == ".png" and metadata.extract(image)[1] == recipe
    for form in ("webp", "avif"):
        image, ending = opened(Picture(Image.new("RGB", (16, 16)), recipe), form)
        assert ending == f".{form}" and metadata.extract(image)[1] == recipe


def test_a_picture_too_large_for_its_format_is_a_png() -> None:
    assert opened(Picture(Image.new("RGB", (16384, 1)), changed()), "webp")[1] == ".png"


@pytest.mark.parametrize("form", ["jpg", "webp", "avif"])
def test_quality_decides_how_large_a_file_is(form: str) -> None:
    picture = Picture(Image.effect_noise((64, 64), 90).convert("RGB"), changed())
    assert len(encoded(picture, form, Saving(jpeg_quality=95))[0]) > len(
        encoded(picture, form, Saving(jpeg_quality=5))[0]
    )


def test_webp_can_keep_every_pixel() -> None:
    noise = Image.effect_noise((32, 32), 90).convert("RGB")
    assert opened(Picture(noise, changed()), "webp", webp_lossless=True)[0].tobytes() == noise.tobytes()


def test_transparent_pictures_can_be_saved_in_each() -> None:
    for form in FORMATS:
        assert opened(Picture(Image.new("RGBA", (16, 16), "#ff000080"), changed()), form)[1] == f".{form}"
    for spelling in ("JPEG", ".jpg", "jpeg"):
        assert Saving(samples_format=spelling).samples_format == "jpg"  # type: ignore[arg-type]
