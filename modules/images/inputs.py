"""Pictures that people bring: checked once, kept under the hash of their bytes, opened upright and in eight bits."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import secrets
import warnings
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from modules.errors import BadRequest, SaveError
from modules.images import metadata

LARGEST = 64 * 2**20  # bytes
MOST_PIXELS = 100_000_000
SIDES = (8, 20_000)  # pixels
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")
T = TypeVar("T")
NAME = re.compile(r"[0-9a-f]{64}")
_ORIENTATION, _LYING = 0x0112, range(5, 9)  # of EXIF, and the values of a picture that is turned by a quarter
_PAGES = (b"<!doctype html", b"<html", b"<svg", b"<?xml")
_DEEP = MappingProxyType({"I;16": 65535, "I;16L": 65535, "I;16B": 65535, "I;16N": 65535, "I": 65535, "F": 1.0})


class Inputs:
    """A folder of the pictures that requests name. Any number of threads and processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes) -> str:
        """Keep a picture file and return its name: the SHA-256 of its bytes, 64 hexadecimal digits.

        The bytes are kept as they came, with what is written in them. Raises `BadRequest` with a sentence when they
        are no picture that can be used, `SaveError` when the disk has no room.
        """
        check(data)
        name = hashlib.sha256(data).hexdigest()
        path = self._path(name)
        if not path.is_file():
            temporary = path.with_name(f".{secrets.token_hex(6)}.part")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with open(temporary, "xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, path)
            except OSError as error:
                with contextlib.suppress(OSError):
                    temporary.unlink()
                raise SaveError("save_failed", folder=str(path.parent), reason=error.strerror or "") from error
        return name

    def keep(self, image: Image.Image) -> str:
        """Keep an image that has no file, as PNG, and return its name."""
        data = io.BytesIO()
        image.save(data, "PNG", compress_level=1)
        return self.put(data.getvalue())

    def has(self, name: str) -> bool:
        """Return whether there is a picture of that name."""
        return NAME.fullmatch(name) is not None and self._path(name).is_file()

    def file(self, name: str) -> Path:
        """Return where the picture of that name lies; raise `BadRequest` when there is none."""
        if not self.has(name):
            raise BadRequest("picture_gone", value=name[:12])
        return self._path(name)

    def open(self, name: str) -> Image.Image:
        """Return the picture of that name, upright, as RGB or RGBA; raise `BadRequest` when there is none."""
        return opened(self.file(name).read_bytes())

    def size(self, name: str) -> tuple[int, int]:
        """Return width and height in pixels of the picture of that name when it stands upright, from its header alone.

        Raises `BadRequest` when there is none, or it cannot be read.
        """
        try:
            with Image.open(self.file(name), formats=FORMATS) as image:
                width, height = image.size
                lies = image.getexif().get(_ORIENTATION, 1) in _LYING
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise BadRequest("picture_damaged") from error
        return (height, width) if lies else (width, height)

    def text(self, name: str) -> str:
        """Return the "parameters" text inside the picture of that name, "" when it has none."""
        found = metadata.read(self.file(name))
        return found[0] if found else ""

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name


def check(data: bytes) -> tuple[int, int]:
    """Return width and height of the picture file in `data`; raise `BadRequest` when it cannot be used."""
    return _read(data, lambda image: image.size)


def opened(data: bytes) -> Image.Image:
    """Return the picture in `data`, upright, as RGB or RGBA in eight bits; of several frames, the first.

    Raises `BadRequest` with a sentence when it is no picture, is damaged, or is too large.
    """
    return _read(data, lambda image: eight_bits(ImageOps.exif_transpose(image) or image))


def eight_bits(image: Image.Image) -> Image.Image:
    """Return `image` as RGB, or as RGBA where some of it may be transparent."""
    if image.mode in _DEEP:  # grey in sixteen bits or more: scaled, where Pillow would cut off
        levels = np.asarray(image, np.float64) * (255.0 / _DEEP[image.mode])
        return Image.fromarray(np.clip(levels.round(), 0, 255).astype(np.uint8)).convert("RGB")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _read(data: bytes, use: Callable[[Image.Image], T]) -> T:
    if len(data) > LARGEST:
        raise BadRequest("picture_bytes", size=round(len(data) / 2**20), most=LARGEST // 2**20)
    if data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGES):
        raise BadRequest("picture_page", allowed=", ".join(FORMATS))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # sizes have a bound of their own, below
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _measure(image)
                image.load()
                return use(image)
    except Image.DecompressionBombError as error:
        raise BadRequest("picture_pixels", most=MOST_PIXELS // 10**6) from error
    except UnidentifiedImageError as error:
        raise BadRequest("picture_unknown", allowed=", ".join(FORMATS)) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise BadRequest("picture_damaged") from error


def _measure(image: Image.Image) -> None:
    width, height = image.size
    least, most = SIDES
    if not (least <= width <= most and least <= height <= most):
        raise BadRequest("picture_sides", width=width, height=height, least=least, most=most)
    if width * height > MOST_PIXELS:
        raise BadRequest("picture_pixels", most=MOST_PIXELS // 10**6)
