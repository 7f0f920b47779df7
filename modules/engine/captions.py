"""Captioners at work: the one used last stays loaded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from modules.captioners.captioner import Say
from modules.captioners.tags import Manner, listed, worded
from modules.engine.memory import patient
from modules.engine.report import Report
from modules.errors import OutOfMemory
from modules.events import Loading
from modules.model_manager.caption_files import CaptionFiles
from modules.model_manager.memory import GIB, memory
from modules.model_manager.scan import Stamp, stamp_of
from modules.settings import Settings


class Captions:
    """Says what pictures show. `make_room` lets other weights go; it says whether any went."""

    def __init__(self, files: CaptionFiles, device: torch.device, make_room: Callable[[], bool]) -> None:
        self.files = files
        self._device = device
        self._make_room = make_room
        self._manner = Manner()
        self._kept: tuple[str, Path, Stamp, Say] | None = None

    def tell(self, settings: Settings) -> None:
        """Let tags be told as the settings say from now on."""
        self._manner = Manner(
            settings.interrogate_deepbooru_score_threshold,
            settings.deepbooru_sort_alpha,
            settings.deepbooru_use_spaces,
            settings.deepbooru_escape,
            listed(settings.deepbooru_filter_tags),
        )

    def say(self, name: str, image: Image.Image, report: Report) -> str:
        """Return a sentence, or tags, about `image` (RGB or RGBA) by the captioner of that name.

        For "" it is the first there is. Raises `UnknownModel`, `BrokenFile` and `OutOfMemory`.
        """
        speak = patient(self._loaded(name, report), self._make_room, self._no_room)
        said = speak(image)
        return " ".join((said if isinstance(said, str) else worded(said, self._manner)).split())

    def forget(self) -> None:
        """Let go of what is loaded."""
        self._kept = None

    def _loaded(self, name: str, report: Report) -> Say:
        kind, path = self.files.find(name)
        stamp = stamp_of(path) if kind.folder else ()
        if self._kept is None or self._kept[:3] != (kind.name, path, stamp):
            self._kept = None  # first: both at once may be too much
            report.tell(Loading(model=name or kind.name))
            load = patient(partial(kind.load, path, self._device), self._make_room, self._no_room)
            self._kept = kind.name, path, stamp, load()
        return self._kept[3]

    def _no_room(self) -> OutOfMemory:
        free, total = (f"{each / GIB:.1f}" for each in memory(self._device))
        return OutOfMemory("out_of_memory_caption", device=str(self._device), free=free, total=total)
