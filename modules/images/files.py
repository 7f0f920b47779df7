"""Pictures as files: numbered names in dated folders, written whole or not at all."""

import contextlib
import errno
import io
import itertools
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from PIL import Image

from modules.errors import SaveError
from modules.images import metadata
from modules.images.lock import locked
from modules.result import Picture

TEMPORARY = re.compile(r"^\.(\d+)-[0-9a-f]+\.easel-tmp$")  # the number is the id of the process that writes it
LONGEST_NAME = 60  # characters
_ODD = re.compile(r"[^\w \-+().,]")  # \w knows every alphabet
_NUMBER = re.compile(r"^(\d+)")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class PictureFiles:
    """The outputs folder. Any number of threads and processes may save into it at once."""

    def __init__(self, outputs: Path) -> None:
        self.outputs = outputs

    def save(self, picture: Picture, kind: str = "", name: str | None = None) -> Path:
        """Write `picture` with its recipe inside and return where: `<kind>-images/2026-11-20/00001-<seed>.png`.

        Without a `kind` it is txt2img, or img2img for what was painted over a picture.

        The number is one more than the largest in the folder; `name` stands in the place of the seed, as far as it
        can be in the name of a file. The file appears under its name only when it is
        complete and on the disk; nothing stays behind when it cannot be written.

        Raises `SaveError` when the disk is full or the folder may not be written.
        """
        kind = kind or ("txt2img" if picture.recipe.init is None else "img2img")
        folder = self.outputs / f"{kind}-images" / datetime.now().strftime("%Y-%m-%d")
        data = _png(picture)
        try:
            _make(folder)
            return _place(folder, _ending(picture.recipe.seed if name is None else name), data)
        except OSError as error:
            raise _explained(error, folder) from error

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
        """Yield the dated folders something was added to at or after `since` (seconds since 1970)."""
        if not self.outputs.is_dir():
            return
        for kind in sorted(self.outputs.glob("*-images")):
            for folder in sorted(each for each in kind.iterdir() if each.is_dir()):
                if folder.stat().st_mtime >= since:
                    yield folder


def save_as(picture: Picture, path: Path) -> Path:
    """Write `picture` with its recipe inside as exactly `path`, in place of what may be there; return `path`.

    The old file stays until the new one is complete and on the disk.

    Raises `SaveError` when the disk is full or the folder may not be written.
    """
    data = _png(picture)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _written(path.parent, data) as temporary:
            os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:
        raise _explained(error, path.parent) from error
    return path


def save_text(text: str, path: Path) -> None:
    """Write `text` as exactly `path`, whole or not at all.

    Raises `SaveError` when the disk is full or the folder may not be written.
    """
    try:
        with _written(path.parent, memoryview(text.encode())) as temporary:
            os.replace(temporary, path)
        _sync(path.parent)
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


def _ending(name: object) -> str:
    """Return the end of a file's name: "-name.png", without what a file system may not take."""
    kept = _ODD.sub("_", str(name)).strip(" ._")[:LONGEST_NAME]
    return f"-{kept}.png" if kept else ".png"


def _png(picture: Picture) -> memoryview:
    data = io.BytesIO()
    picture.image.save(data, "PNG", pnginfo=metadata.embed(picture.recipe))
    return data.getbuffer()


def _make(folder: Path) -> None:
    """Make `folder`; the folders above it are told to the disk too, so that a power cut cannot lose it."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for above in (folder.parent, folder.parent.parent):
        _sync(above)


def _place(folder: Path, ending: str, data: memoryview) -> Path:
    with _written(folder, data) as temporary, locked(folder):
        path = folder / f"{_next_number(folder):05d}{ending}"
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


def _next_number(folder: Path) -> int:
    numbers = (_NUMBER.match(entry.name) for entry in os.scandir(folder))
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
