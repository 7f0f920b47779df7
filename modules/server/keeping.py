"""Pictures that a person saves by hand: copies in a folder of their own, with a table of what they were made with."""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from modules.errors import BadRequest, SaveError
from modules.images.files import PictureFiles, save_text
from modules.images.lock import locked
from modules.images.names import Circumstances, filled
from modules.library.pictures import PictureRow

LOG = "log.csv"
# A1111's columns, in its order.
COLUMNS = (
    *("prompt", "seed", "width", "height", "sampler", "cfgs", "steps", "filename", "negative_prompt"),
    *("sd_model_name", "sd_model_hash"),
)


class Keeping:
    """The folder of what is saved by hand."""

    def __init__(self, files: PictureFiles) -> None:
        self._files = files

    def keep(self, rows: Sequence[PictureRow]) -> list[Path]:
        """Copy these pictures into the folder, a line in its `log.csv` for each, and return where they are.

        Raises `BadRequest` when the file of one is gone, `SaveError` when it cannot be written.
        """
        at = circumstances_of(rows)
        kept = []
        for row in rows:
            try:
                path = self._files.keep(row.path, row.recipe, at)
            except FileNotFoundError as error:
                raise BadRequest("kept_gone", value=row.path.name) from error
            if self._files.saving.save_write_log_csv:
                _log(self._files.kept, row, path.relative_to(self._files.kept).as_posix())
            kept.append(path)
        return kept


def circumstances_of(rows: Sequence[PictureRow]) -> Circumstances:
    """Return what a name may tell of pictures that are saved together."""
    return Circumstances(
        batch_size=len(rows), first_seed=rows[0].recipe.seed, last_seed=rows[-1].recipe.seed, begun=rows[0].created
    )


def archive_name(rows: Sequence[PictureRow], pattern: str) -> str:
    """Return the name of an archive of these pictures by `pattern`, or by A1111's usual one; without ending.

    Raises OSError when the file of the first is gone or is no picture.
    """
    usual = "[datetime]_[[model_name]]_[seed]-[seed_last]"
    with Image.open(rows[0].path) as image:
        return filled(pattern or usual, image, rows[0].recipe, circumstances_of(rows)) or "pictures"


def _log(folder: Path, row: PictureRow, name: str) -> None:
    """Add a line about a picture; a table of other columns gets those that it lacks."""
    recipe, path = row.recipe, folder / LOG
    said = (recipe.prompt, recipe.seed, row.width, row.height, recipe.sampler, f"{recipe.cfg_scale:g}", recipe.steps)
    line = dict(zip(COLUMNS, (*said, name, recipe.negative_prompt, recipe.model, recipe.model_hash), strict=True))
    try:
        with locked(folder):
            text = path.read_bytes().decode("utf-8-sig") if path.exists() else ""
            header = next(csv.reader(io.StringIO(text, newline="")), [])
            wanted = [*header, *(each for each in COLUMNS if each not in header)]
            added = io.StringIO(newline="")
            csv.DictWriter(added, wanted, restval="").writerow({each: line.get(each, "") for each in wanted})
            if wanted == header and text.endswith("\n"):
                with path.open("ab") as file:
                    file.write(added.getvalue().encode())
                    file.flush()
                    os.fsync(file.fileno())
            else:
                save_text(_with_header(text, wanted) + added.getvalue(), path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SaveError("log_write", file=str(path), reason=reason) from error


def _with_header(text: str, header: list[str]) -> str:
    """Return a table with another first line; its rows are filled up."""
    rows = list(csv.reader(io.StringIO(text, newline="")))[1:]
    made = io.StringIO(newline="")
    csv.writer(made).writerows([header, *([*row, *[""] * (len(header) - len(row))] for row in rows)])
    return made.getvalue()
