"""One file on its way from an address to the disk: begun, resumed, counted, hashed, and checked.

A transfer that was cut off goes on where it was: with `Range` for what is missing and `If-Range`, so that a file that
was changed meanwhile comes anew instead of being mixed with the old one (RFC 9110, 13.1.5 and 14.2).
"""

import errno
import hashlib
import http.client
import re
import shutil
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import BinaryIO

from modules.errors import Cancelled, DownloadError, SaveError
from modules.server.arrival import could_be_model, is_page, told_name
from modules.server.outward import Answer, Outward, host_of
from modules.server.sources import Source, refused

CHUNK = 2**20
TRIES = 6  # in a row without a byte
LONGEST_REST = 30.0  # seconds between two
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
RESERVE = 2**28  # bytes that stay free on the disk
LOOK_EVERY = 2**27  # bytes between two looks at what is free
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass
class Progress:
    """How far a transfer is; written by its thread, read by others."""

    bytes: int = 0
    total: int = 0  # 0: not told
    validator: str = ""  # what names the version of the file that these bytes are of
    name: str = ""
    sha256: str = ""  # what it should be, where it was told


class Transfer:
    """Fetches `source` into the file `part`, which may hold the beginning already.

    `progress.validator` is kept from one attempt to the next. `stop` ends it between two pieces, with `Cancelled`.
    """

    def __init__(
        self,
        outward: Outward,
        source: Source,
        part: Path,
        progress: Progress,
        stop: threading.Event,
        look: Callable[[Progress], None],
        rest: Callable[[float], object] | None = None,
    ) -> None:
        """`look` hears what the server says of the file before any of it comes, and may refuse by raising."""
        self._look = look
        self._outward = outward
        self._source = source
        self._part = part
        self._progress = progress
        self._stop = stop
        self._rest = rest or stop.wait
        self._digest = hashlib.sha256()
        self._hashed = 0

    def run(self) -> str:
        """Fetch the whole file; return its SHA-256.

        A line that breaks is taken up again. Raises `DownloadError` with the reason, `SaveError` when the disk is
        full, `Cancelled` when stopped; what has come so far stays.
        """
        tries = 0
        while True:
            before = self._size()
            try:
                if self._attempt():
                    return self._checked()
                reason = ""
            except ssl.SSLCertVerificationError as error:
                raise DownloadError("download_certificate", host=host_of(self._source.address)) from error
            except (OSError, http.client.HTTPException) as error:
                reason = str(error) or type(error).__name__
            if self._stop.is_set():
                raise Cancelled("download_stopped")
            tries = 1 if self._size() > before else tries + 1
            if tries >= TRIES:
                raise DownloadError("download_lost", host=host_of(self._source.address), reason=reason)
            self._rest(min(LONGEST_REST, 0.5 * 2**tries))

    def _attempt(self) -> bool:
        """Ask once and write what comes; True when the file is complete."""
        have = self._size()
        headers = {}
        if have and (self._progress.validator or SHA256.fullmatch(self._source.sha256)):
            headers["Range"] = f"bytes={have}-"
            if self._progress.validator:
                headers["If-Range"] = self._progress.validator
        with self._outward.get(self._source.address, headers, self._source.token) as answer:
            if answer.status == 416 and _whole(answer.headers) == have:
                self._progress.total = have
                return True
            if answer.status == 416:  # the file is shorter than what is here: it is another one
                self._part.unlink()
                return False
            if answer.status in BUSY:
                raise OSError(f"HTTP {answer.status}")
            if answer.status not in (200, 206):
                raise refused(answer.status, answer.address)
            begin = have if answer.status == 206 else 0
            if answer.status == 206 and _begin(answer.headers) != have:
                raise DownloadError("download_lost", host=host_of(answer.address), reason="Content-Range")
            self._learn(answer, begin)
            return self._receive(answer, begin)

    def _learn(self, answer: Answer, begin: int) -> None:
        """Take note of what the server says of the file before any of it is read."""
        headers, progress = answer.headers, self._progress
        if headers.get("Content-Encoding", "identity") != "identity":
            raise DownloadError("download_not_model", name=told_name(headers, answer.address))
        length = headers.get("Content-Length", "")
        total = begin + int(length) if length.isascii() and length.isdigit() else 0
        expected = self._source.size or _linked_size(answer.hops)
        if expected and total and expected != total:
            raise DownloadError("download_length", expected=expected, found=total)
        progress.total = total or expected
        progress.name = progress.name or self._source.name or told_name(headers, answer.address)
        progress.sha256 = self._source.sha256 or _linked_sha256(answer.hops)
        tag = headers.get("ETag", "")
        progress.validator = tag if tag.startswith('"') else headers.get("Last-Modified", "")
        self._look(progress)
        self._make_room(max(0, progress.total - begin))

    def _receive(self, answer: Answer, begin: int) -> bool:
        with self._opened("ab" if begin else "wb") as file:
            self._progress.bytes = begin
            looked = begin
            while piece := answer.read(CHUNK):
                if self._stop.is_set():
                    return False
                if not self._progress.bytes:
                    self._refuse_pages(piece, answer)
                self._write(file, piece)
                if self._progress.bytes - looked > LOOK_EVERY:
                    looked = self._progress.bytes
                    self._make_room(max(0, self._progress.total - looked))
        if self._progress.total and self._progress.bytes < self._progress.total:
            raise OSError(f"{self._progress.bytes} of {self._progress.total} bytes")
        return not self._stop.is_set()

    def _refuse_pages(self, start: bytes, answer: Answer) -> None:
        """Stop at the first piece when a web page comes instead of a model: a login, an error, a wrong link."""
        type_ = answer.headers.get_content_type()
        if is_page(start, type_) and not could_be_model(start):
            raise DownloadError("download_page", host=host_of(answer.address))
        if len(start) >= 16 and not could_be_model(start):
            raise DownloadError("download_not_model", name=self._progress.name)

    def _write(self, file: BinaryIO, piece: bytes) -> None:
        if self._hashed != self._progress.bytes:
            self._hash_again(self._progress.bytes)
        try:
            file.write(piece)
            file.flush()  # so that a full disk is met here
        except OSError as error:
            raise _full(self._part, error) from error
        self._digest.update(piece)
        self._progress.bytes += len(piece)
        self._hashed = self._progress.bytes

    def _hash_again(self, length: int) -> None:
        """Hash what is on the disk already; the file at hand has not been written to since it was opened."""
        self._digest, self._hashed = hashlib.sha256(), 0
        if length:
            with self._part.open("rb") as file:
                while self._hashed < length and (piece := file.read(min(CHUNK, length - self._hashed))):
                    self._digest.update(piece)
                    self._hashed += len(piece)

    def _checked(self) -> str:
        if self._hashed != self._size():
            self._hash_again(self._size())
        found = self._digest.hexdigest()
        wanted = self._progress.sha256
        if wanted and found != wanted:
            self._part.unlink(missing_ok=True)  # nothing of it can be trusted
            raise DownloadError("download_hash", expected=wanted[:12], found=found[:12])
        return found

    def _opened(self, mode: str) -> BinaryIO:
        try:
            self._part.parent.mkdir(parents=True, exist_ok=True)
            return open(self._part, mode)  # type: ignore[return-value]
        except OSError as error:
            raise _full(self._part, error) from error

    def _make_room(self, needed: int) -> None:
        self._part.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self._part.parent).free
        if free < needed + RESERVE:
            values = {"folder": str(self._part.parent), "free": _gigabytes(free), "needed": _gigabytes(needed)}
            raise SaveError("download_room", **values)

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.is_file() else 0


def _full(part: Path, error: OSError) -> SaveError:
    if error.errno == errno.ENOSPC:
        free = _gigabytes(shutil.disk_usage(part.parent).free)
        return SaveError("download_room", folder=str(part.parent), free=free, needed=free)
    return SaveError("download_write", folder=str(part.parent), reason=error.strerror or str(error))


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.1f}"


def _begin(headers: Message) -> int:
    found = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    return int(found[1]) if found else -1


def _whole(headers: Message) -> int:
    found = re.match(r"bytes \*/(\d+)", headers.get("Content-Range", ""))
    return int(found[1]) if found else -1


def _linked_size(hops: tuple[Message, ...]) -> int:
    """Return the size that Hugging Face tells beside its redirect."""
    sizes = [hop.get("X-Linked-Size", "") for hop in hops]
    return next((int(each) for each in sizes if each.isascii() and each.isdigit()), 0)


def _linked_sha256(hops: tuple[Message, ...]) -> str:
    """Return the SHA-256 that Hugging Face tells beside its redirect: the ETag of a large file."""
    tags = [hop.get("X-Linked-Etag", "").strip('W/"') for hop in hops]
    return next((each for each in tags if SHA256.fullmatch(each)), "")
