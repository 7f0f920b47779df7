"""The text inside a PNG: "parameters" for every tool, "easel" (the recipe as JSON) for making it exactly again.

What was done to a finished picture stands under "postprocessing" and "extras", where A1111 writes it.
"""

from pathlib import Path

from PIL import Image, PngImagePlugin
from pydantic import ValidationError

from modules.images import infotext
from modules.result import Recipe

PARAMETERS = "parameters"
RECIPE = "easel"
POSTPROCESSING = ("postprocessing", "extras")


def embed(recipe: Recipe) -> PngImagePlugin.PngInfo:
    """Return the text chunks for a picture made by `recipe`.

    Latin-1 text goes into tEXt, anything else into iTXt (PNG specification, 11.3.4), uncompressed as other tools
    write it.
    """
    chunks = PngImagePlugin.PngInfo()
    if text := infotext.write(recipe):
        chunks.add_text(PARAMETERS, text)
    for name in POSTPROCESSING if recipe.postprocessing else ():
        chunks.add_text(name, infotext.postprocessing(recipe))
    chunks.add_text(RECIPE, recipe.model_dump_json())
    return chunks


def extract(image: Image.Image) -> tuple[str, Recipe | None]:
    """Return the "parameters" text of `image` ("" when it has none) and its recipe, if Easel made it."""
    text = image.info.get(PARAMETERS, "")
    written = image.info.get(RECIPE)
    recipe = None
    if isinstance(written, str):
        try:
            recipe = Recipe.model_validate_json(written)
        except ValidationError:
            recipe = None
    return (text if isinstance(text, str) else ""), recipe


def read(path: Path) -> tuple[str, Recipe | None, tuple[int, int]] | None:
    """Return parameters, recipe and size (width, height) of the picture file at `path`; None when it is not one.

    Only the header and the text are read, not the pixels.
    """
    try:
        with Image.open(path) as image:
            text, recipe = extract(image)
            return text, recipe, image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
