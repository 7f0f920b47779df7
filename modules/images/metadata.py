"""The text inside a picture: "parameters" for every tool, "easel" (the recipe as JSON) for making it exactly again.

What was done to a finished picture stands under "postprocessing" and "extras", where A1111 writes it. PNG keeps text
in chunks of its own; JPEG, WebP and AVIF have the "parameters" in EXIF's UserComment and the recipe in XMP, GIF has
the first in its comment.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape, unescape

from PIL import Image, PngImagePlugin
from pydantic import ValidationError

from modules.images import infotext
from modules.result import Recipe

PARAMETERS = "parameters"
RECIPE = "easel"
POSTPROCESSING = ("postprocessing", "extras")
_JPEG_ROOM = 65_400  # bytes of EXIF, and of XMP, that a JPEG has room for
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:easel="urn:easel:picture:1"><easel:recipe>{}</easel:recipe>'
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
)
_IN_XMP = re.compile(rb"<easel:recipe>([^<]*)</easel:recipe>")
_NOT_IN_XML = re.compile("[\x7f-\x9f\ufffe\uffff]")
_EXIF_IFD, _USER_COMMENT, _MAKE, _MODEL = 0x8769, 0x9286, 0x010F, 0x0110
# What Pillow tells of a file besides what somebody wrote into it (the list is A1111's).
_NO_TEXT = frozenset(
    (
        *("jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "exif", "loop", "background", "timestamp"),
        *("duration", "progressive", "progression", "icc_profile", "chromaticity", "photoshop", "gamma", "interlace"),
        *("transparency", "version", "extension", "srgb"),
    )
)
_BROKEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_BROKEN_EXIF = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, struct.error, OverflowError)


@dataclass(frozen=True)
class Inside:
    """What a picture file says of itself; `size` is (width, height)."""

    parameters: str = ""
    recipe: Recipe | None = None
    texts: Mapping[str, str] = field(default_factory=dict)  # everything somebody wrote, "parameters" first
    size: tuple[int, int] = (0, 0)


def embed(recipe: Recipe, full: bool = True) -> PngImagePlugin.PngInfo:
    """Return the text chunks for a picture made by `recipe`; the recipe itself only when they are to be `full`.

    Latin-1 text goes into tEXt, anything else into iTXt (PNG specification, 11.3.4), uncompressed as other tools
    write it.
    """
    chunks = PngImagePlugin.PngInfo()
    if text := infotext.write(recipe):
        chunks.add_text(PARAMETERS, text)
    for name in POSTPROCESSING if recipe.postprocessing else ():
        chunks.add_text(name, infotext.postprocessing(recipe))
    if full:
        chunks.add_text(RECIPE, recipe.model_dump_json())
    return chunks


def embed_exif(recipe: Recipe, full: bool = True) -> dict[str, bytes]:
    """Return the same for JPEG, WebP and AVIF, as what Pillow saves: "exif" for the text, "xmp" for the recipe.

    The text is UTF-16 with the high byte first whatever the rest is, as piexif writes it and A1111 reads it.
    """
    said: dict[str, bytes] = {}
    if text := infotext.write(recipe):
        exif = Image.Exif()
        exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + text.encode("utf-16-be", "replace")
        said["exif"] = exif.tobytes()
    if full:
        written = _NOT_IN_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", recipe.model_dump_json())
        said["xmp"] = _XMP.format(escape(written)).encode()
    return said


def fits_jpeg(said: Mapping[str, bytes]) -> bool:
    """Return whether a JPEG has room for what `embed_exif` returned."""
    return all(len(each) <= _JPEG_ROOM for each in said.values())


def extract(image: Image.Image) -> tuple[str, Recipe | None]:
    """Return the "parameters" text of `image` ("" when it has none) and its recipe, if Easel made it."""
    found = look_into(image)
    return found.parameters, found.recipe


def look_into(image: Image.Image) -> Inside:
    """Return everything `image` says of itself."""
    texts = dict(_texts(image))
    texts |= dict(_exif(image))
    written = texts.pop(RECIPE, None) or _packet(image)
    recipe = None
    if written is not None:
        try:
            recipe = Recipe.model_validate_json(written)
        except ValidationError:
            recipe = None
    text = texts.get(PARAMETERS, "")
    return Inside(text, recipe, ({PARAMETERS: text} if text else {}) | texts, image.size)


def read(path: Path) -> tuple[str, Recipe | None, tuple[int, int]] | None:
    """Return parameters, recipe and size (width, height) of the picture file at `path`; None when it is not one.

    Only the header and the text are read, not the pixels.
    """
    try:
        with Image.open(path) as image:
            return *extract(image), image.size
    except _BROKEN:
        return None


def inside(path: Path) -> Inside | None:
    """Return everything the picture file at `path` says of itself, behind its pixels too; None when it is none."""
    try:
        with Image.open(path) as image:
            if image.format == "PNG" and PARAMETERS not in image.info:
                image.load()
            return look_into(image)
    except _BROKEN:
        return None


def _packet(image: Image.Image) -> str | None:
    """Return the recipe in the XMP of `image`. It is looked for, not parsed: XML from anywhere can be a trap."""
    xmp = image.info.get("xmp")
    found = _IN_XMP.search(xmp) if isinstance(xmp, bytes) else None
    return None if found is None else unescape(found[1].decode("utf-8", "replace"))


def _texts(image: Image.Image) -> Iterator[tuple[str, str]]:
    for name, value in image.info.items():
        if not isinstance(name, str) or name.lower() in _NO_TEXT:
            continue
        if name == "comment" and isinstance(value, bytes):
            yield (PARAMETERS if image.format == "GIF" else name), value.decode("utf-8", "replace")
        elif isinstance(value, str):
            yield name, str(value)


def _exif(image: Image.Image) -> Iterator[tuple[str, str]]:
    """Yield what EXIF says: A1111's text, and the graphs that ComfyUI writes into WebP ("prompt:{…}")."""
    if "exif" not in image.info:
        return
    try:
        exif = image.getexif()
        comment = exif.get_ifd(_EXIF_IFD).get(_USER_COMMENT)
        rest = [exif.get(_MAKE), exif.get(_MODEL)]
    except _BROKEN_EXIF:
        return
    text = _comment(comment).strip("\0 ") if isinstance(comment, bytes) else comment
    if isinstance(text, str) and text:
        yield PARAMETERS, text
    for each in rest:
        name, colon, value = each.partition(":") if isinstance(each, str) else ("", "", "")
        if colon and name in ("prompt", "workflow") and value.lstrip().startswith("{"):
            yield name, value.strip("\0")


def _comment(data: bytes) -> str:
    """Return the text of a UserComment (EXIF 2.32, 4.6.5): eight bytes say how it is written.

    `UNICODE` is UTF-16; piexif writes the high byte first whatever the file says, others the low one.
    """
    code, body = data[:8], data[8:]
    if code == b"UNICODE\0":
        if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return body.decode("utf-16", "replace")
        low_first = body[1:2000:2].count(0) > body[:2000:2].count(0)
        return body.decode("utf-16-le" if low_first else "utf-16-be", "replace")
    if code in (b"ASCII\0\0\0", b"\0" * 8):
        return body.decode("utf-8", "replace")
    if code == b"JIS\0\0\0\0\0":
        return body.decode("iso2022_jp", "replace")
    return data.decode("utf-8", "replace")
