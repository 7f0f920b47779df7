"""Where the pictures of one `generate` go: the outputs folder, a folder, or exactly one file."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from modules.errors import BadRequest
from modules.images.files import PictureFiles, save_as
from modules.images.names import ALONE, Circumstances
from modules.result import Picture
from modules.saving import Saving

Save = Callable[[Picture], Path]


def target(output: str, outputs: Path, saving: Saving | None = None, at: Circumstances = ALONE) -> Save:
    """Return what saves a picture for `-o output`; raise `BadRequest` when it names no PNG file and no folder.

    Empty: the outputs folder, named and written as `saving` says; `at` is what names may tell of the job. `a.png`: that
    file, further pictures beside it as `a-2.png`, …. Anything else is a folder: `00001-<seed>.png`, … in it, numbered
    by place in the job.
    """
    if not output:
        return partial(PictureFiles(outputs, saving).save, at=at)
    path = Path(output).expanduser()
    if path.is_dir() or output.endswith(("/", "\\")) or not path.suffix:
        if path.is_file():
            raise BadRequest("output_is_file", path=output)
        return lambda picture: save_as(picture, path / f"{picture.recipe.index + 1:05d}-{picture.recipe.seed}.png")
    if path.suffix.lower() != ".png":
        raise BadRequest("output_kind", path=output)
    return lambda picture: save_as(picture, _beside(path, picture.recipe.index))


def _beside(path: Path, index: int) -> Path:
    return path if index == 0 else path.with_stem(f"{path.stem}-{index + 1}")
