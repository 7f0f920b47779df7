"""The models that describe pictures: folders that are looked up by name, each whole or refused with a reason."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from modules.captioners.captioner import Captioner
from modules.errors import BrokenFile, UnknownModel
from modules.model_manager.configs import config_of
from modules.model_manager.kinds import bases
from modules.model_manager.scan import bad_name, within
from modules.settings import Settings

HOME = "BLIP"  # below the folder of models, where nothing else is known


class CaptionFiles:
    """What the captioners of `kinds` can be used with, looked up on the disk each time it is asked for."""

    def __init__(self, settings: Settings, kinds: Mapping[str, Captioner]) -> None:
        self._settings = settings
        self._kinds = kinds

    def names(self) -> list[str]:
        """Return the models there are, as "BLIP/base", and the captioners that need none."""
        plain = [each.name for each in self._kinds.values() if not each.folder]
        return [*plain, *sorted(name for name, _, _ in self._found())]

    def find(self, name: str = "") -> tuple[Captioner, Path]:
        """Return the captioner and the folder of the model of that name, for "" those of the first there is.

        Raises `UnknownModel` that says what there is, or what to put where, and `BrokenFile` for one that lacks files.
        """
        for each in self._kinds.values():
            if not each.folder and name in ("", each.name):
                return each, self._settings.models
        found = {each: (kind, path) for each, kind, path in sorted(self._found(), key=lambda found: found[0])}
        if not found:
            folder = next((each.folder for each in self._kinds.values() if each.folder), HOME)
            raise UnknownModel("caption_none", folder=str(self._settings.models / folder))
        wanted = name or next(iter(found))
        if wanted not in found:
            raise UnknownModel("caption_unknown", value=name[:60], allowed=", ".join(found))
        kind, path = found[wanted]
        lacking = [" / ".join(some) for some in kind.files if not any((path / file).is_file() for file in some)]
        if lacking:
            raise BrokenFile("caption_files", file=wanted, missing=", ".join(lacking), folder=str(path))
        return kind, path

    def _found(self) -> Iterator[tuple[str, Captioner, Path]]:
        allowed = [os.path.realpath(base) for base in bases(self._settings)]
        seen: set[str] = set()
        for base in bases(self._settings):
            for kind in self._kinds.values():
                for path in _folders(base / kind.folder) if kind.folder else ():
                    name = f"{kind.folder}/{path.name}"
                    outside = not within(os.path.realpath(path), allowed)
                    if name not in seen and not outside and not bad_name(path.name) and _is(path, kind):
                        seen.add(name)
                        yield name, kind, path


def _folders(folder: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith(".")]
    except OSError:  # absent, or not ours to read
        return []


def _is(path: Path, kind: Captioner) -> bool:
    """Tell whether a folder holds a model of that kind."""
    if kind.kind:
        return bool(config_of(path).get("model_type", "") == kind.kind)
    return all((path / file).is_file() for file in kind.marks)
