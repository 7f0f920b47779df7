"""What is written into a PNG is there when it is opened again."""

import io
import zlib
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


TEXT = "고양이 a cat\nSteps: 1, Sampler: Euler, Seed: 3"


def with_comment(comment: bytes) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    return exif.tobytes()


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\0" + TEXT.encode("utf-16-be"),
        b"UNICODE\0" + TEXT.encode("utf-16-le"),
        b"UNICODE\0" + TEXT.encode("utf-16"),
        b"ASCII\0\0\0" + TEXT.encode(),
        TEXT.encode(),
    ],
)
def test_parameters_are_found_in_exif(tmp_path: Path, form: str, comment: bytes) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "a", form, exif=with_comment(comment))
    found = metadata.inside(tmp_path / "a")
    assert found is not None and (found.parameters, found.recipe) == (TEXT, None)


def test_comments_chunks_behind_the_pixels_and_graphs_in_exif_are_found(tmp_path: Path) -> None:
    Image.new("P", (8, 8)).save(tmp_path / "a.gif", comment=b"a cat")
    found = metadata.inside(tmp_path / "a.gif")
    assert found is not None and found.parameters == "a cat"
    data = io.BytesIO()
    Image.new("RGB", (8, 8)).save(data, "PNG")
    end = data.getvalue().index(b"IEND") - 4
    text = b"tEXtparameters\0a dog"
    chunk = (len(text) - 4).to_bytes(4) + text + zlib.crc32(text).to_bytes(4)
    (tmp_path / "a.png").write_bytes(data.getvalue()[:end] + chunk + data.getvalue()[end:])
    found = metadata.inside(tmp_path / "a.png")
    assert found is not None and dict(found.texts) == {"parameters": "a dog"}
    exif = Image.Exif()
    exif[0x010F] = 'workflow:{"nodes": []}'
    exif[0x0110] = 'prompt:{"1": {}}'
    Image.new("RGB", (8, 8)).save(tmp_path / "a.webp", exif=exif.tobytes())
    found = metadata.inside(tmp_path / "a.webp")
    assert found is not None and found.texts == {"workflow": '{"nodes": []}', "prompt": '{"1": {}}'}


def test_everything_somebody_wrote_is_told_parameters_first(tmp_path: Path) -> None:
    chunks = PngInfo()
    for name, text in (("Software", "NovelAI"), ("parameters", "a cat"), ("Comment", "{}")):
        chunks.add_text(name, text)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=chunks, dpi=(72, 72))
    found = metadata.inside(tmp_path / "a.png")
    assert found is not None
    assert [*found.texts.items()] == [("parameters", "a cat"), ("Software", "NovelAI"), ("Comment", "{}")]


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0" + b"\xff" * 300])
def test_broken_exif_says_nothing(tmp_path: Path, exif: bytes) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif)
    found = metadata.inside(tmp_path / "a.jpg")
    assert found is not None and found.parameters == ""
