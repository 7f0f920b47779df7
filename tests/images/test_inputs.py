"""Pictures people bring: what is taken, how it is opened, and the sentence for what is not."""

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modules.errors import BadRequest
from modules.images.inputs import Inputs, check, opened


def file_of(image: Image.Image, kind: str = "PNG", **more: object) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **more)
    return data.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that says it is that large."""
    plain = file_of(Image.new("1", (8, 8)))
    start = plain.index(b"IHDR")
    header = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + plain[start + 12 : start + 17]
    return plain[:start] + header + zlib.crc32(header).to_bytes(4, "big") + plain[start + 21 :]


def test_a_picture_is_kept_under_the_hash_of_its_bytes_once(tmp_path: Path) -> None:
    inputs = Inputs(tmp_path / "inputs")
    data = file_of(Image.new("RGB", (9, 8), "red"))
    name = inputs.put(data)
    assert inputs.put(data) == name and inputs.has(name)
    assert inputs.file(name).read_bytes() == data
    assert [each for each in (tmp_path / "inputs").rglob("*") if each.is_file()] == [inputs.file(name)]
    assert inputs.open(name).getpixel((0, 0)) == (255, 0, 0)
    kept = inputs.open(inputs.keep(Image.new("RGBA", (8, 8), (1, 2, 3, 4))))
    assert kept.mode == "RGBA" and kept.getpixel((7, 7)) == (1, 2, 3, 4)


@pytest.mark.parametrize("name", ["", "../x", "0" * 64, "A" * 64, "0" * 63 + "/"])
def test_what_is_no_name_of_a_picture_opens_nothing(tmp_path: Path, name: str) -> None:
    inputs = Inputs(tmp_path)
    assert not inputs.has(name)
    with pytest.raises(BadRequest, match="not here any more"):
        inputs.open(name)


def test_a_photograph_is_turned_upright() -> None:
    image = Image.new("RGB", (20, 10), "white")
    exif = Image.Exif()
    exif[0x0112] = 6  # the top is on the right
    assert opened(file_of(image, "JPEG", exif=exif)).size == (10, 20)


def test_every_depth_and_colour_space_becomes_eight_bits() -> None:
    deep = Image.fromarray(np.full((8, 8), 65535 // 2, np.uint16))
    assert opened(file_of(deep)).getpixel((3, 3)) == (127, 127, 127)
    ink = opened(file_of(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100))
    red, green, blue = np.asarray(ink)[4, 4]
    assert ink.mode == "RGB" and red > 200 and green < 60 and blue < 60
    palette = Image.new("RGBA", (8, 8), (0, 255, 0, 0)).quantize(4)
    assert opened(file_of(palette, transparency=0)).mode == "RGBA"
    assert opened(file_of(Image.new("1", (8, 8), 1))).getpixel((0, 0)) == (255, 255, 255)
    assert opened(file_of(Image.new("LA", (8, 8), (9, 77)))).getpixel((0, 0)) == (9, 9, 9, 77)


def test_of_a_moving_picture_the_first_frame_is_used() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("blue", "red")]
    moving = file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert opened(moving).convert("RGB").getpixel((0, 0)) == (0, 0, 255)


NOISE = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
HOSTILE = {
    "cut short": (file_of(Image.fromarray(NOISE))[:4000], "damaged or incomplete"),
    "far too wide": (file_of(Image.new("1", (30_000, 1))), "30000×1 pixels large. Each side must have 8 to 20000"),
    "a bomb": (bomb(19_000, 19_000), "too many pixels. At most 100 million"),
    "a larger bomb": (bomb(2**31 - 1, 2**31 - 1), "pixels"),
    "a drawing": (b'<?xml version="1.0"?><svg onload="alert(1)"/>', "web page or a drawing"),
    "a web page": (b"\n <!DOCTYPE HTML><script>alert(1)</script>", "web page or a drawing"),
    "no picture": (b"MZ" + bytes(500), "no picture that can be read"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture that can be read"),
    "nothing": (b"", "no picture that can be read"),
    "too many bytes": (bytes(65 * 2**20), "65 MB large. At most 64 MB"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_cannot_be_used_is_refused_with_a_sentence_and_leaves_nothing(kind: str, tmp_path: Path) -> None:
    data, said = HOSTILE[kind]
    with pytest.raises(BadRequest, match=said):
        check(data)
    with pytest.raises(BadRequest, match=said):
        Inputs(tmp_path).put(data)
    assert list(tmp_path.iterdir()) == []
