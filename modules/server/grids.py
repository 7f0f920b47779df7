"""The grid of a job's pictures, laid when the last of them is saved."""

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from modules.events import Note
from modules.images import metadata
from modules.images.files import PictureFiles
from modules.images.grid import Grid, grid_size, rows_of
from modules.images.names import Circumstances
from modules.request import Request
from modules.result import GRID, Picture, Recipe
from modules.saving import Saving


def wanted(saving: Saving, made: Mapping[int, Path]) -> bool:
    """Return whether there is to be a grid of the pictures `made`, by their places in the job, and there is none."""
    fewest = 2 if saving.grid_only_if_multiple else 1
    return saving.grid_save and GRID not in made and sum(place >= 0 for place in made) >= fewest


def lay(
    request: Request, recipe: Recipe | None, made: Mapping[int, Path], files: PictureFiles, at: Circumstances
) -> tuple[Picture, Path] | Note:
    """Lay and save the grid of the pictures `made`; return it with its place, or a note where it cannot be.

    Its recipe is that of the first picture, or `recipe` where the file does not say it.

    The pictures are read from their files, one at a time, so that a job of many needs no more room than its grid.
    Raises `SaveError` when the grid cannot be written.
    """
    saving = files.saving
    paths = [made[place] for place in sorted(made) if place >= 0]
    read = [found for each in paths if (found := metadata.read(each)) is not None]
    recipe = (read[0][1] if read else None) or recipe
    if recipe is None or len(read) < len(paths):
        return Note(key="grid_gone")
    sizes = [size for _, _, size in read]
    rows = rows_of(len(paths), saving.n_rows, request.batch_size, saving.grid_prevent_empty_spots)
    width, height = grid_size(sizes, rows)
    if width * height > saving.img_max_size_mp * 10**6:
        return Note(key="grid_large", values={"width": width, "height": height, "most": f"{saving.img_max_size_mp:g}"})
    grid = Grid(sizes, rows, saving.grid_background_color)
    for path in paths:
        with Image.open(path) as image:
            grid.lay(image)
    picture = Picture(grid.image, recipe.model_copy(update={"index": GRID}))
    return picture, files.save_grid(picture, at)
