"""Pictures as files: numbered names in dated folders, or by other patterns, written whole or not at all."""

import contextlib
import errno
import hashlib
import io
import itertools
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from PIL import Image

from modules.errors import SaveError
from modules.images.formats import SUFFIXES, encoded
from modules.images.infotext import write
from modules.images.lock import locked
from modules.images.names import ALONE, Circumstances, clean, filled, filled_folder, numbered
from modules.result import Picture, Recipe
from modules.saving import Saving

TEMPORARY = re.compile(r"^\.(\d+)-[0-9a-f]+\.easel-tmp$")  # the number is the id of the process that writes it
ON_THE_WAY = ("-before-highres-fix", "-before-color-correction", "-mask", "-mask-composite")  # of `Picture.beside`
KINDS = ("txt2img", "img2img", "extras")
INIT = "init-images"  # the folder of pictures that were painted over: none of those that are made
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def companions(path: Path) -> list[Path]:
    """Return where what belongs to the picture at `path` lies beside it: its text, a copy, what it was on its way."""
    endings = [".txt", *([".jpg"] if path.suffix == ".png" else [])]
    endings += [f"{suffix}{ending}" for suffix in ON_THE_WAY for ending in SUFFIXES]
    return [path.with_name(f"{path.stem}{ending}") for ending in endings]


@dataclass(frozen=True)
class _Name:
    """What a file is called: `stem`, after a number of so many digits that follows `begins`, where one is wanted."""

    stem: str
    with_number: bool
    begins: str = ""
    digits: int = 5


class PictureFiles:
    """The outputs folder. Any number of threads and processes may save into it at once."""

    def __init__(self, outputs: Path, saving: Saving | None = None) -> None:
        self.outputs = outputs
        self.saving = saving or Saving()

    def adopt(self, values: Mapping[str, Any]) -> None:
        """Let settings that may change between two pictures hold from now on; those of other things are left out."""
        own = {name: value for name, value in values.items() if name in Saving.model_fields}
        self.saving = self.saving.model_copy(update=own)

    def save(
        self,
        picture: Picture,
        kind: str = "",
        name: str | None = None,
        at: Circumstances = ALONE,
        suffix: str = "",
    ) -> Path:
        """Write `picture` with its recipe inside and return where: `<kind>-images/2026-11-20/00001-<seed>.png`.

        Without a `kind` it is txt2img, or img2img for what was painted over a picture. What stands in the place of the
        date and of the seed, and in which format the file is, `saving` says; `name` stands in the place of the seed, as
        far as it can be in the name of a file, and `suffix` behind it. `at` is what names may tell beside the recipe.

        The number is one more than the largest in the folder; a name without one is made another where it is taken,
        so nothing is ever overwritten. The file appears under its name only when it is complete and on the disk;
        nothing stays behind when it cannot be written.

        Raises `SaveError` when the disk is full or the folder may not be written.
        """
        kind = kind or _kind(picture.recipe)
        saving, now = self.saving, datetime.now()
        stem = self._stem(picture, saving.save_to_dirs, at, now) if name is None else clean(name)
        folder = self._folder(self.root(kind), saving.save_to_dirs, picture, at, now)
        return self._save(picture, folder, saving.samples_format, _Name(stem + suffix, saving.save_images_add_number))

    def save_grid(self, grid: Picture, at: Circumstances = ALONE) -> Path:
        """Write a grid of pictures, with the recipe of their first one: `txt2img-grids/2026-11-20/grid-0001.png`.

        Raises `SaveError` when the disk is full or the folder may not be written.
        """
        saving, now = self.saving, datetime.now()
        at = replace(at, basename="grid")
        kind = _kind(grid.recipe)
        chosen = saving.outdir_grids or getattr(saving, f"outdir_{kind}_grids")
        root = self._home(chosen) if chosen else self.outputs / f"{kind}-grids"
        stem = self._stem(grid, saving.grid_save_to_dirs, at, now) if saving.grid_extended_filename else ""
        folder = self._folder(root, saving.grid_save_to_dirs, grid, at, now)
        return self._save(grid, folder, saving.grid_format, _Name(stem, True, "grid-", 4))

    def keep(self, source: Path, recipe: Recipe, at: Circumstances = ALONE) -> Path:
        """Copy the picture at `source` into the folder of those that are saved by hand, and return where it is then.

        Raises FileNotFoundError when there is none, `SaveError` when it cannot be written.
        """
        data = memoryview(source.read_bytes())
        saving, now = self.saving, datetime.now()
        with Image.open(source) as image:
            picture = Picture(image, recipe)
            folder = self._folder(self.kept, saving.use_save_to_dirs_for_ui, picture, at, now)
            stem = self._stem(picture, saving.use_save_to_dirs_for_ui, at, now)
        try:
            _make(folder)
            return _place(folder, _Name(stem, saving.save_images_add_number), source.suffix, data)
        except OSError as error:
            raise _explained(error, folder) from error

    def keep_init(self, image: Image.Image) -> str:
        """Write a picture that is painted over as `init-images/<hash>.png`, where it is not there yet.

        Return the hash, MD5 of its pixels (A1111's). Raises `SaveError` when it cannot be written.
        """
        digits = hashlib.md5(image.tobytes(), usedforsecurity=False).hexdigest()
        path = self.outputs / INIT / f"{digits}.png"
        try:
            if not path.exists():
                data = io.BytesIO()
                image.save(data, "PNG")
                _make(path.parent)
                _replace(path, data.getbuffer())
        except OSError as error:
            raise _explained(error, path.parent) from error
        return digits

    @property
    def kept(self) -> Path:
        """The folder of pictures that are saved by hand."""
        return self._home(self.saving.outdir_save) if self.saving.outdir_save else self.outputs / "saved"

    def root(self, kind: str) -> Path:
        """Return the folder that pictures of that kind go below: txt2img, img2img, extras, …."""
        own = {name: getattr(self.saving, f"outdir_{name}_samples") for name in KINDS}
        chosen = self.saving.outdir_samples or own.get(kind, "")
        return self._home(chosen) if chosen else self.outputs / f"{kind}-images"

    def _folder(self, root: Path, by_pattern: bool, picture: Picture, at: Circumstances, now: datetime) -> Path:
        if not by_pattern:
            return root
        pattern = self.saving.directories_filename_pattern or "[prompt_words]"
        at = replace(at, max_words=self.saving.directories_max_prompt_words)
        return root.joinpath(*filled_folder(pattern, picture.image, picture.recipe, at, now))

    def _stem(self, picture: Picture, in_folders: bool, at: Circumstances, now: datetime) -> str:
        usual = "[seed]" if in_folders else "[seed]-[prompt_spaces]"
        at = replace(at, max_words=self.saving.directories_max_prompt_words)
        return filled(self.saving.samples_filename_pattern or usual, picture.image, picture.recipe, at, now)

    def _save(self, picture: Picture, folder: Path, form: str, name: "_Name") -> Path:
        data, ending = encoded(picture, form, self.saving)
        try:
            _make(folder)
            path = _place(folder, name, ending, data)
            self._beside(picture, path, len(data))
        except OSError as error:
            raise _explained(error, folder) from error
        return path

    def _home(self, folder: str) -> Path:
        return self.outputs.absolute().parent / Path(folder).expanduser()

    def _beside(self, picture: Picture, path: Path, size: int) -> None:
        """Write what goes beside the picture at `path`, whose file has `size` bytes: what it was, its text, a copy."""
        saving = self.saving
        # Without its recipe: what lies beside a picture is none of its own.
        plain = "off" if saving.enable_pnginfo == "off" else "minimal"
        quiet = saving.model_copy(update={"enable_pnginfo": plain})
        for suffix, image in picture.beside.items():
            form = saving.samples_format if image.mode == "RGB" else "png"
            data, ending = encoded(Picture(image, picture.recipe), form, quiet)
            _place(path.parent, _Name(f"{path.stem}{suffix}", False), ending, data)
        if saving.save_txt and (text := write(picture.recipe)):
            _replace(path.with_suffix(".txt"), memoryview(f"{text}\n".encode("utf-8", "replace")))
        side = saving.target_side_length
        large = size > saving.img_downscale_threshold * 2**20 or max(picture.image.size) > side
        if saving.export_for_4chan and path.suffix == ".png" and large:
            copy = picture.image.copy()
            copy.thumbnail((side, side), Image.Resampling.LANCZOS)
            data, ending = encoded(Picture(copy, picture.recipe), "jpg", quiet)
            if ending == ".jpg":
                _replace(path.with_suffix(ending), data)

    def thumbnail(self, path: Path, side: int) -> bytes:
        """Return the picture at `path` as WebP, fitted into a square of `side` pixels.

        Raises OSError when there is no such picture.
        """
        with Image.open(path) as image:
            image.thumbnail((side, side), Image.Resampling.LANCZOS)
            small = io.BytesIO()
            image.convert("RGB").save(small, "WEBP", quality=82)
        return small.getvalue()

    def sweep(self, since: float = 0.0) -> int:
        """Remove half-written files of processes that live no more; return how many there were.

        Looks only into folders that something was added to at or after `since` (seconds since 1970).
        """
        removed = 0
        for folder in self.folders(since):
            for entry in os.scandir(folder):
                found = TEMPORARY.match(entry.name)
                if found and not psutil.pid_exists(int(found[1])):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(entry.path)
                        removed += 1
        return removed

    def folders(self, since: float = 0.0) -> Iterator[Path]:
        """Yield the folders of pictures something was added to at or after `since` (seconds since 1970)."""
        there = self.outputs.is_dir()
        kinds = [*self.outputs.glob("*-images"), *self.outputs.glob("*-grids")] if there else []
        kinds = [each for each in kinds if each.name != INIT]
        named = {
            name: value for name, value in self.saving.model_dump().items() if name.startswith("outdir_") and value
        }
        chosen = [self._home(value) for name, value in named.items() if name != "outdir_save"]  # those are copies
        for root in sorted({each.resolve() for each in (*kinds, *chosen) if each.is_dir()}):
            for folder, below, _ in os.walk(root):
                below[:] = sorted(each for each in below if not each.startswith("."))
                if os.stat(folder).st_mtime >= since:
                    yield Path(folder)


def save_as(picture: Picture, path: Path) -> Path:
    """Write `picture` with its recipe inside as exactly `path`, in place of what may be there; return `path`.

    The old file stays until the new one is complete and on the disk.

    Raises `SaveError` when the disk is full or the folder may not be written.
    """
    data, _ = encoded(picture, "png", Saving())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data)
    except OSError as error:
        raise _explained(error, path.parent) from error
    return path


def save_text(text: str, path: Path) -> None:
    """Write `text` as exactly `path`, whole or not at all.

    Raises `SaveError` when the disk is full or the folder may not be written.
    """
    try:
        _replace(path, memoryview(text.encode()))
    except OSError as error:
        raise _explained(error, path.parent) from error


def move(source: Path, wanted: Path, taken: Callable[[Path], bool] = os.path.lexists) -> Path:
    """Rename the file `source` to `wanted`, or to "name (2).png" beside it where that is `taken`; return its new path.

    Nothing is ever overwritten, and the file is at one of the two places whatever happens.

    Raises `SaveError` when that cannot be done, for example because there is no such file.
    """
    try:
        _make(wanted.parent)
        with locked(wanted.parent):
            free = (path for path in _beside(wanted) if not os.path.lexists(path) and not taken(path))
            target = next(free)
            os.rename(source, target)
        for folder in {wanted.parent, source.parent}:
            _sync(folder)
    except OSError as error:
        raise SaveError("move_failed", file=source.name, folder=str(wanted.parent), reason=_reason(error)) from error
    return target


def _beside(path: Path) -> Iterator[Path]:
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.stem} ({number}){path.suffix}")


def _replace(path: Path, data: memoryview) -> None:
    """Write exactly `path`, in place of what may be there."""
    with _written(path.parent, data) as temporary:
        os.replace(temporary, path)
    _sync(path.parent)


def _make(folder: Path) -> None:
    """Make `folder`; the folders above it are told to the disk too, so that a power cut cannot lose it."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for above in (folder.parent, folder.parent.parent):
        _sync(above)


def _kind(recipe: Recipe) -> str:
    return "txt2img" if recipe.init is None else "img2img"


def _place(folder: Path, name: _Name, ending: str, data: memoryview) -> Path:
    """Write a new file of that name, after a number or, where the name is taken, before one."""
    with _written(folder, data) as temporary, locked(folder):
        if name.with_number or not name.stem:
            number = f"{name.begins}{_next_number(folder, name.begins):0{name.digits}d}"
            free = f"{number}-{name.stem}" if name.stem else number
        else:
            taken = {Path(each.name).stem.lower() for each in os.scandir(folder)}
            free = next(each for each in numbered(name.stem) if each.lower() not in taken)
        path = folder / f"{free}{ending}"
        os.rename(temporary, path)
    _sync(folder)
    return path


@contextlib.contextmanager
def _written(folder: Path, data: memoryview) -> Iterator[Path]:
    """Give a hidden file in `folder` that holds `data` on the disk, to be renamed; it does not stay if that fails."""
    temporary = folder / f".{os.getpid()}-{secrets.token_hex(4)}.easel-tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise


def _next_number(folder: Path, begins: str) -> int:
    number = re.compile(re.escape(begins) + r"(\d+)", re.ASCII)
    numbers = (number.match(entry.name) for entry in os.scandir(folder))
    return 1 + max((int(found[1]) for found in numbers if found), default=0)


def _sync(folder: Path) -> None:
    """Ask the disk to keep the folder's entries; not every system can open a folder."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _explained(error: OSError, folder: Path) -> SaveError:
    if error.errno in _FULL:
        return SaveError("save_full", folder=str(folder), free=_free(folder))
    if error.errno in _DENIED:
        return SaveError("save_denied", folder=str(folder), reason=error.strerror or "")
    return SaveError("save_failed", folder=str(folder), reason=_reason(error))


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _free(folder: Path) -> int:
    """Return the free bytes of the disk that holds `folder`, 0 when it cannot be asked."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0
