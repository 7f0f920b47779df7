"""What is written into a PNG is there when it is opened again."""

import io
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from modules.images import infotext, metadata
from tests.images.test_infotext import changed


@pytest.mark.parametrize("prompt", ["a cat", "고양이 🐈 — a\nsecond line", "naïve", "a" * 10_000])
def test_recipe_and_parameters_come_back(prompt: str) -> None:
    recipe = changed(prompt=prompt, extras={"wild": {"on": True}}, job="abc", index=3)
    data = io.BytesIO()
    Image.new("RGB", (8, 8)).save(data, "PNG", pnginfo=metadata.embed(recipe))
    with Image.open(data) as image:
        assert metadata.extract(image) == (infotext.write(recipe), recipe)


def test_pictures_of_other_tools_have_no_recipe(tmp_path: Path) -> None:
    chunks = PngInfo()
    chunks.add_text("parameters", "a cat")
    chunks.add_text("easel", '{"not": "a recipe"}')
    Image.new("RGB", (4, 6)).save(tmp_path / "a.png", pnginfo=chunks)
    assert metadata.read(tmp_path / "a.png") == ("a cat", None, (4, 6))


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_is_no_picture_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    assert metadata.read(tmp_path / "a.png") is None
    assert metadata.read(tmp_path / "absent.png") is None
