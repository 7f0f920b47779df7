"""Pictures as the bytes of a file: PNG, JPEG, WebP or AVIF, each with what it says of itself."""

import io
from types import MappingProxyType
from typing import Any

from PIL import Image

from modules.images import metadata
from modules.result import Picture
from modules.saving import Saving

SUFFIXES = (".png", ".jpg", ".webp", ".avif")
# Pixels of a side, at most; a larger picture becomes a PNG, as in A1111.
_LARGEST = MappingProxyType({"jpg": 65535, "webp": 16383, "avif": 32767})
_NAMES = MappingProxyType({"jpg": "JPEG", "webp": "WEBP", "avif": "AVIF"})
_MIMES = MappingProxyType({".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".avif": "image/avif"})


def encoded(picture: Picture, form: str, saving: Saving) -> tuple[memoryview, str]:
    """Return the file of `picture` in the format `form` of `Saving`, and how its name ends (".png").

    It is a PNG all the same where the format cannot hold it: too large, or its metadata is.
    """
    data = io.BytesIO()
    said = _said(picture, saving)
    if max(picture.image.size) <= _LARGEST.get(form, 0) and (form != "jpg" or metadata.fits_jpeg(said)):
        options: dict[str, Any] = {"quality": saving.jpeg_quality, **said}
        if form == "webp":
            options["lossless"] = saving.webp_lossless
        _plain(picture.image, form).save(data, _NAMES[form], **options)
        return data.getbuffer(), f".{form}"
    full, silent = saving.enable_pnginfo == "full", saving.enable_pnginfo == "off"
    picture.image.save(data, "PNG", pnginfo=None if silent else metadata.embed(picture.recipe, full))
    return data.getbuffer(), ".png"


def mime(suffix: str) -> str:
    """Return the media type of a picture file whose name ends so."""
    return _MIMES.get(suffix.lower(), "application/octet-stream")


def _said(picture: Picture, saving: Saving) -> dict[str, bytes]:
    if saving.enable_pnginfo == "off":
        return {}
    return metadata.embed_exif(picture.recipe, saving.enable_pnginfo == "full")


def _plain(image: Image.Image, form: str) -> Image.Image:
    """Return the image as the format can hold it; only AVIF keeps what is transparent, as in A1111."""
    if image.mode == "RGB" or (image.mode == "RGBA" and form == "avif"):
        return image
    return image.convert("RGB")
