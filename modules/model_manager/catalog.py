"""What models are on disk: scanned when asked, remembered by size and time, hashed when a hash is needed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from modules.errors import ModelError, UnknownModel
from modules.families.family import Family
from modules.model_manager.header import is_folder_model, read_header
from modules.model_manager.identify import built_in_families, identify
from modules.settings import Settings

FOLDER = "Stable-diffusion"
STARTER = "starter"
HASHES = "hashes.json"
DIGITS = 10

Stamp = tuple[tuple[str, int, int], ...]  # (file, size, time of change in ns) of everything a model consists of


@dataclass(frozen=True)
class ModelFile:
    """A model on disk. `family` is empty when none knows it, `hash` until it was worked out once."""

    name: str
    path: Path
    kind: str = "checkpoint"
    family: str = ""
    hash: str = ""
    native_size: int = 0  # pixels

    @property
    def title(self) -> str:
        """The name with the hash, as A1111 shows it: "starter [0123456789]"."""
        return f"{self.name} [{self.hash}]" if self.hash else self.name


@dataclass(frozen=True)
class _Known:
    stamp: Stamp
    file: ModelFile
    weights: Path | None


class Catalog:
    """The checkpoints in `models/Stable-diffusion` and the further folders of the settings.

    `families` decides what is what; without it those that ship with Easel do. One object serves one process; hashes
    are shared between processes through a file in the state folder.
    """

    def __init__(self, settings: Settings, families: Mapping[str, Family] | None = None) -> None:
        self._folders = (settings.models / FOLDER, *settings.ckpt_dir)
        self._families = built_in_families() if families is None else families
        self._known: dict[Path, _Known] = {}
        self._hashes = _Hashes(settings.state / HASHES)

    def checkpoints(self) -> list[ModelFile]:
        """Return every checkpoint by name, the starter last: any other was put there by a person."""
        found: dict[str, ModelFile] = {}
        for folder in self._folders:
            for path in _models_in(folder):
                file = self._look_up(path, path.relative_to(folder).as_posix())
                found.setdefault(file.name, file)
        return sorted(found.values(), key=lambda file: (file.name == STARTER, file.name.lower()))

    def find(self, name: str) -> ModelFile:
        """Return the checkpoint of that name, title or hash; for "" the first that can be used.

        Raises `UnknownModel` with the names there are.
        """
        files = self.checkpoints()
        if not files:
            raise UnknownModel("no_models", folder=str(self._folders[0]))
        if not name:
            return next((file for file in files if file.family), files[0])
        wanted = name.strip().lower()
        stem = wanted.rpartition(" [")[0] if wanted.endswith("]") else wanted
        for file in files:
            if wanted in (file.name.lower(), file.title.lower(), file.hash) or stem == file.name.lower():
                return file
        raise UnknownModel("unknown_model", value=name[:60], allowed=", ".join(file.name for file in files))

    def hashed(self, file: ModelFile) -> ModelFile:
        """Return `file` with its hash: the first ten hexadecimal digits of the SHA-256 of its weights.

        Takes about a second for each gigabyte, once: the answer is kept until the file changes.
        """
        known = self._known.get(file.path)
        if known is None or known.weights is None:
            return file
        return replace(file, hash=self._hashes.get(known.weights) or self._hashes.work_out(known.weights))

    def _look_up(self, path: Path, name: str) -> ModelFile:
        stamp = stamp_of(path)
        known = self._known.get(path)
        if known is None or known.stamp != stamp:
            known = self._known[path] = self._examine(path, name, stamp)
        return replace(known.file, hash=self._hashes.get(known.weights)) if known.weights else known.file

    def _examine(self, path: Path, name: str, stamp: Stamp) -> _Known:
        try:
            header = read_header(path)
            family = identify(header, self._families)
        except ModelError:  # listed all the same: whoever chooses it is told what is wrong when it is loaded
            return _Known(stamp, ModelFile(name, path), None)
        file = ModelFile(name, path, family=family.name, native_size=family.native_size(header))
        return _Known(stamp, file, family.weights(header))


def stamp_of(path: Path) -> Stamp:
    """Return what changes when a model's files change."""
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    return tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files)


def _models_in(folder: Path) -> Iterator[Path]:
    """Yield the diffusers folders below `folder`; links are followed, circles are not."""
    seen: set[str] = set()
    for place, inner, _ in os.walk(folder, followlinks=True):
        path = Path(place)
        real = os.path.realpath(place)
        inner[:] = sorted(each for each in inner if not each.startswith("."))
        if real in seen:
            inner.clear()
        elif path != folder and is_folder_model(path):
            inner.clear()
            yield path
        seen.add(real)


class _Hashes:
    """SHA-256 by (file, size, time of change), kept in a JSON file that several processes may share."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._read_at = -1
        self._kept: dict[str, str] = {}

    def get(self, file: Path) -> str:
        """Return the known hash of `file`, or an empty string."""
        self._read()
        return self._kept.get(self._key(file), "")

    def work_out(self, file: Path) -> str:
        """Hash `file` and keep the answer; a store that cannot be written is no reason to fail."""
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()[:DIGITS]
        self._read()
        self._kept[self._key(file)] = digest
        temporary = self._store.with_suffix(f".{os.getpid()}.part")
        try:
            self._store.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self._kept, indent=1), encoding="utf-8")
            temporary.replace(self._store)
        except OSError:
            temporary.unlink(missing_ok=True)
        return digest

    def _read(self) -> None:
        try:
            changed = self._store.stat().st_mtime_ns
            if changed != self._read_at:
                stored = json.loads(self._store.read_text("utf-8"))
                self._kept |= {str(key): str(value) for key, value in stored.items()}
                self._read_at = changed
        except (OSError, ValueError, AttributeError):  # absent, or damaged: then hashes are worked out again
            return

    @staticmethod
    def _key(file: Path) -> str:
        about = file.stat()
        return f"{file}|{about.st_size}|{about.st_mtime_ns}"
