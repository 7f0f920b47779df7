"""Several pictures as one zip file, written while it is sent: it is never whole in memory nor on the disk."""

import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

CHUNK = 2**18  # bytes


class _Stream(io.RawIOBase):
    """What the zip writer writes to; whoever sends it takes what has come together."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        """It can be written."""
        return True

    def write(self, data: object, /) -> int:
        """Take `data` in."""
        part = bytes(data)  # type: ignore[call-overload]  # anything with a buffer
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        """Return what has come since the last time."""
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


def zipped(files: Iterable[tuple[str, Path]]) -> Iterator[bytes]:
    """Yield a zip file, piece by piece, with each file of `files` (name within it, where it lies).

    Pictures are compressed already, so they are stored as they are. A file that is gone is left out.
    """
    stream = _Stream()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for name, path in files:
            try:
                source = path.open("rb")
            except OSError:
                continue
            with source:
                entry = zipfile.ZipInfo.from_file(path, name, strict_timestamps=False)
                with archive.open(entry, "w") as target:
                    while chunk := source.read(CHUNK):
                        target.write(chunk)
                        yield stream.take()
    yield stream.take()
